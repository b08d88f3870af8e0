import { createHash } from 'node:crypto';
import { NarrowcastError } from '../nix/error.ts';
import type { Narinfo } from '../nix/narinfo.ts';

/** The decoded bytes are not the NAR that the trusted narinfo names. */
export class WrongNar extends NarrowcastError {
  constructor(path: string, why: string) {
    super('nar-wrong', `What came for ${path} is not its NAR: ${why}`);
  }
}

/** The first bytes of a NAR: how many, and their SHA-256. */
export interface Mark {
  readonly position: number;
  readonly digest: Buffer;
}

/** Counts and hashes a NAR as it is decoded; NarSize bounds it, which stops decompression bombs. */
export class NarCheck {
  readonly #narinfo: Narinfo;
  readonly #hash = createHash('sha256');
  #position = 0;

  constructor(narinfo: Narinfo) {
    this.#narinfo = narinfo;
  }

  /** Bytes so far. */
  get position(): number {
    return this.#position;
  }

  /** @throws WrongNar when the NAR becomes larger than its NarSize */
  update(chunk: Uint8Array): void {
    this.#position += chunk.length;
    if (this.#position > this.#narinfo.narSize) {
      throw new WrongNar(this.#narinfo.storePath.base, `it is larger than ${this.#narinfo.narSize} bytes`);
    }
    this.#hash.update(chunk);
  }

  /** What came so far, to compare with another file's bytes. */
  mark(): Mark {
    return { position: this.#position, digest: this.#hash.copy().digest() };
  }

  /** @throws WrongNar when NarSize or NarHash do not hold */
  finish(): void {
    const { narSize, narHash, storePath } = this.#narinfo;
    if (this.#position < narSize)
      throw new WrongNar(storePath.base, `it has ${this.#position} bytes instead of ${narSize}`);
    if (!this.mark().digest.equals(narHash.digest))
      throw new WrongNar(storePath.base, 'its NarHash is another');
  }
}
