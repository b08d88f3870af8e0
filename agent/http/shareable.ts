import * as v from 'valibot';
import type { DiskCache } from '../cache/disk-cache.ts';
import type { StoredFile } from '../cache/nar-cache.ts';
import type { OtherFiles } from '../cache/other-files.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { type PublicKey, trustedSigner } from '../nix/signature.ts';
import { isHashPart } from '../nix/store-path.ts';

export interface ShareableParts {
  readonly storeDir: string;
  readonly cache: Pick<DiskCache, 'narinfo' | 'pathsOf' | 'outputsOf'>;
  readonly otherFiles: Pick<OtherFiles, 'open'>;
  /** Only paths signed by one of these are shown. */
  readonly shareKeys: ReadonlyMap<string, PublicKey>;
}

/** More than any JSON that Nix keeps about one file or output, in bytes. */
const longestPointer = 64 * 1024;

/** What other machines may be shown of the cache directory (I9): paths that a shareable key has signed, and what belongs to one. */
export class Shareable {
  readonly #parts: ShareableParts;

  constructor(parts: ShareableParts) {
    this.#parts = parts;
  }

  /** The stored narinfo of a path that may be shown. */
  async narinfo(hashPart: string): Promise<Narinfo | undefined> {
    const narinfo = isHashPart(hashPart) ? await this.#parts.cache.narinfo(hashPart) : undefined;
    return narinfo && this.#isShareable(narinfo) ? narinfo : undefined;
  }

  /** A narinfo that names a NAR file (`nar/…`) and may be shown. */
  async ownerOf(url: string): Promise<Narinfo | undefined> {
    for (const hashPart of await this.#parts.cache.pathsOf(url)) {
      const narinfo = await this.narinfo(hashPart);
      if (narinfo?.url === url) return narinfo;
    }
    return undefined;
  }

  /** Opens a listing, log or the like by its path in the cache; undefined when there is none that belongs to such a path. */
  async otherFile(path: string): Promise<StoredFile | undefined> {
    const file = await this.#parts.otherFiles.open(path);
    let shown = false;
    try {
      shown = file !== undefined && (await this.#belongs(path, file));
      return shown ? file : undefined;
    } finally {
      if (!shown) await file?.close();
    }
  }

  async #belongs(path: string, file: StoredFile): Promise<boolean> {
    const slash = path.indexOf('/');
    const folder = path.slice(0, Math.max(slash, 0));
    if (folder === '') return (await this.narinfo(path.slice(0, 32))) !== undefined;
    if (folder === 'log') return await this.#isLogOfShareable(path.slice(slash + 1));
    if (folder === 'debuginfo') return (await this.ownerOf(await archiveOf(file))) !== undefined;
    const base = await outPathOf(file);
    return (await this.narinfo(base.slice(0, 32)))?.storePath.base === base;
  }

  /**
   * A log bears the name of its derivation. That is Deriver in a narinfo, which nobody has signed: a neighbour may have put there what it
   * likes. So every path here that names the derivation must be shareable, and have a name (that is signed) which an output of it has:
   * `NAME` or `NAME-OUTPUT` for `HASH-NAME.drv` (Nix 2.8, src/libstore/derivations.cc, outputPathName).
   */
  async #isLogOfShareable(derivation: string): Promise<boolean> {
    const [, name = ''] = /^[0-9a-z]{32}-(.+)\.drv$/.exec(derivation) ?? [];
    let found = false;
    for (const hashPart of await this.#parts.cache.outputsOf(derivation)) {
      const narinfo = await this.#parts.cache.narinfo(hashPart);
      if (narinfo?.deriver !== derivation) continue;
      if (!this.#isShareable(narinfo) || !`${narinfo.storePath.name}-`.startsWith(`${name}-`)) return false;
      found = true;
    }
    return found;
  }

  #isShareable(narinfo: Narinfo): boolean {
    return trustedSigner(narinfo, this.#parts.storeDir, this.#parts.shareKeys) !== undefined;
  }
}

/** The NAR file that debug info is in: `nar/…` (Nix 2.8, src/libstore/binary-cache-store.cc, with `index-debug-info`). */
async function archiveOf(file: StoredFile): Promise<string> {
  return (await pointer(file)).archive?.replace(/^\.\.\//, '') ?? '';
}

/** The output that a realisation is about: `<hash>-<name>`, or the same in full (Nix 2.4 to 2.36, src/libstore/realisation.cc). */
async function outPathOf(file: StoredFile): Promise<string> {
  return (await pointer(file)).outPath?.split('/').at(-1) ?? '';
}

const pointerSchema = v.object({ archive: v.optional(v.string()), outPath: v.optional(v.string()) });

/** Nothing where the file is too long or not what it should be. */
async function pointer(file: StoredFile): Promise<v.InferOutput<typeof pointerSchema>> {
  if (file.size > longestPointer) return {};
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.read(0)) chunks.push(chunk);
  try {
    return v.parse(pointerSchema, JSON.parse(Buffer.concat(chunks).toString()));
  } catch {
    return {};
  }
}
