import { availableParallelism } from 'node:os';
import type { Intake } from '../cache/intake.ts';
import type { NarCache } from '../cache/nar-cache.ts';
import { checkNar } from '../cache/nar-check.ts';
import { withTrueContentAddress } from '../nix/content-address.ts';
import { FormatError } from '../nix/error.ts';
import { narHashOf, parseHash, sameHash } from '../nix/hash.ts';
import { type Narinfo, parseNarinfo } from '../nix/narinfo.ts';
import { maxSignatures, type PublicKey, printSignature, trustedSigner } from '../nix/signature.ts';
import type { HashPart } from '../nix/store-path.ts';
import { noRoom, UploadError } from './error.ts';
import type { Uploader } from './token-file.ts';
import { Slots, type Turns } from './turns.ts';
import { type UploadedFile, uploadedFile } from './uploaded-file.ts';

export interface UploadedNarinfosParts {
  readonly storeDir: string;
  readonly cache: NarCache;
  readonly intake: Intake;
  readonly turns: Turns;
  /** Only what one of these has signed is taken. */
  readonly trustedKeys: ReadonlyMap<string, PublicKey>;
  /** Passes on the bytes of files that are verified, and has their memory back soon. */
  readonly spending: (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
}

/** Takes in narinfos. With one, its path becomes visible: its NAR is there, whole, and verified against it. */
export class UploadedNarinfos {
  readonly #parts: UploadedNarinfosParts;
  /** Decoding xz takes up to 65 MiB each. */
  readonly #checks = new Slots(Math.min(availableParallelism(), 4));

  constructor(parts: UploadedNarinfosParts) {
    this.#parts = parts;
  }

  /**
   * Takes the text of `<hash part>.narinfo`; resolves to whether it was news.
   * @throws UploadError when it is malformed (400), not signed as it must be (403), its NAR is not here (409) or not right (422), or
   *   the disk takes nothing (507)
   */
  async accept(path: HashPart, text: string, uploader: Uploader): Promise<boolean> {
    const { storeDir, cache } = this.#parts;
    const narinfo = this.#parse(path, text);
    this.#mustBeSigned(narinfo, uploader);
    const file = uploadedFile(narinfo.url);
    if (file === undefined)
      throw new UploadError(400, 'The URL of the narinfo is not nar/<FileHash>.nar and an ending.');
    const claimed = withTrueContentAddress(narinfo, storeDir);
    const stored = await cache.narinfo(path);
    const known = stored !== undefined && isSameNar(stored, narinfo) ? stored : undefined;
    const all = known === undefined ? claimed : withSignaturesOf(claimed, known);
    const isNews = known === undefined || all.signatures.length > known.signatures.length;
    if (isNews && (await this.#publish(all, file))) return true;
    if (isNews && (await cache.adopt(all)) === undefined)
      throw new UploadError(409, `The NAR ${narinfo.url} is not here: send it before its narinfo.`);
    await this.#forget(file);
    return isNews;
  }

  #parse(path: HashPart, text: string): Narinfo {
    const narinfo = parsed(text, this.#parts.storeDir);
    if (narinfo.storePath.hashPart !== path)
      throw new UploadError(400, `This narinfo is about ${narinfo.storePath.base}.`);
    const { fileHash } = uploadedFile(narinfo.url) ?? {};
    if (fileHash !== undefined && narinfo.fileHash && narHashOf(narinfo.fileHash) !== fileHash)
      throw new UploadError(422, 'The URL of the narinfo does not name its FileHash.');
    return narinfo;
  }

  #mustBeSigned(narinfo: Narinfo, { name, keys }: Uploader): void {
    const { storeDir, trustedKeys } = this.#parts;
    const allowed = new Map([...trustedKeys].filter(([key]) => keys?.has(key) ?? true));
    if (trustedSigner(narinfo, storeDir, allowed) !== undefined) return;
    const other = trustedSigner(narinfo, storeDir, trustedKeys);
    const expected = [...allowed.keys()].join(' or ') || 'a key that there is not';
    throw new UploadError(
      403,
      other === undefined
        ? `${narinfo.storePath.base} is not signed by a key that is trusted here: sign it with ${expected}.`
        : `${name} may not upload what ${other} has signed: ${narinfo.storePath.base} must be signed by ${expected}.`,
    );
  }

  /** The NAR is in the cache: what is staged of it, by one who did not know or by a process that was killed, is of no use. */
  #forget({ fileHash }: UploadedFile): Promise<void> {
    const { intake, turns } = this.#parts;
    return turns.run(fileHash, async () => {
      if ((await intake.look(fileHash)) !== undefined) await (await intake.open(fileHash))?.discard();
    });
  }

  /** Verifies the staged NAR and makes it visible with its narinfo; false when no whole one is staged. */
  #publish(narinfo: Narinfo, file: UploadedFile): Promise<boolean> {
    const { intake, turns, spending } = this.#parts;
    return turns.run(file.fileHash, async () => {
      const staged = await intake.look(file.fileHash);
      if (staged === undefined || staged.length !== staged.meta.fileSize) return false;
      const partial = await intake.open(file.fileHash);
      if (partial === undefined) throw noRoom();
      try {
        const hash = parseHash(`sha256:${file.fileHash}`);
        const size = partial.length;
        const facts = { ...narinfo, fileHash: hash, fileSize: size };
        const check = await this.#checks.run(() => checkNar(facts, spending(partial.read(0))));
        if (check !== 'right') {
          await partial.discard();
          throw new UploadError(422, wrong(narinfo, check));
        }
        const { compression } = narinfo;
        if (!(await partial.commit(narinfo, { hash, size, compression }))) throw noRoom();
        return true;
      } finally {
        await partial.release();
      }
    });
  }
}

function parsed(text: string, storeDir: string): Narinfo {
  try {
    return parseNarinfo(text, storeDir);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new UploadError(400, cause.message, { cause });
  }
}

function isSameNar(a: Narinfo, b: Narinfo): boolean {
  return sameHash(a.narHash, b.narHash) && a.narSize === b.narSize;
}

/** With the signatures of both, each once. */
function withSignaturesOf(narinfo: Narinfo, { signatures }: Narinfo): Narinfo {
  const all = new Map([...signatures, ...narinfo.signatures].map((one) => [printSignature(one), one]));
  return { ...narinfo, signatures: [...all.values()].slice(0, maxSignatures) };
}

function wrong({ storePath }: Narinfo, check: 'undecodable' | { wrong: string }): string {
  const why = check === 'undecodable' ? 'its compression cannot be undone here' : check.wrong;
  return `The NAR that came for ${storePath.base} is not the one of its narinfo: ${why}.`;
}
