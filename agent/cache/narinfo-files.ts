import { FormatError } from '../nix/error.ts';
import { maxNarinfoBytes, type Narinfo, parseNarinfo, printNarinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { isAbsent } from './error.ts';
import type { FileFacts, Files } from './files.ts';
import type { GroupedSync } from './grouped-sync.ts';
import { type Layout, type NarFile, narFileOf } from './layout.ts';
import { readSmall, writeDurably } from './small-files.ts';

/** A narinfo whose NAR is there. */
export interface StoredNarinfo {
  readonly narinfo: Narinfo;
  readonly file: NarFile;
  readonly facts: FileFacts;
}

/** The narinfos in the cache directory. Everything rejects with the system's errors. */
export class NarinfoFiles {
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #sync: GroupedSync;
  readonly #storeDir: string;

  constructor(files: Files, layout: Layout, sync: GroupedSync, storeDir: string) {
    this.#files = files;
    this.#layout = layout;
    this.#sync = sync;
    this.#storeDir = storeDir;
  }

  /**
   * Undefined when there is no such file.
   * @throws FormatError when it is not that path's narinfo
   */
  async read(path: HashPart): Promise<Narinfo | undefined> {
    const into = Buffer.allocUnsafe(maxNarinfoBytes + 1);
    const bytes = await readSmall(this.#files, this.#layout.narinfo(path), into);
    if (bytes === undefined) return undefined;
    const narinfo = parseNarinfo(bytes.toString(), this.#storeDir);
    if (narinfo.storePath.hashPart === path) return narinfo;
    throw new FormatError('bad-narinfo', `The file ${path}.narinfo is about ${narinfo.storePath.base}.`);
  }

  /** What is in `nar/` for the narinfo; undefined when that is not the file that the narinfo describes. */
  async nar(narinfo: Narinfo): Promise<StoredNarinfo | undefined> {
    const file = narFileOf(narinfo.url);
    if (file === undefined) return undefined;
    try {
      const facts = await this.#files.stat(this.#layout.nar(file));
      return describes(narinfo, facts) ? { narinfo, file, facts } : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  write(narinfo: Narinfo): Promise<void> {
    const path = this.#layout.narinfo(narinfo.storePath.hashPart);
    const text = printNarinfo(narinfo, this.#storeDir);
    return writeDurably(this.#files, this.#sync, path, this.#layout.temporary(), text);
  }
}

/** Whether the file can be the one that the narinfo describes. */
export function describes(narinfo: Narinfo, facts: FileFacts): boolean {
  return facts.isFile && (narinfo.fileSize === undefined || narinfo.fileSize === facts.size);
}
