import { createHash } from 'node:crypto';
import type { Hash } from '../nix/hash.ts';

/** Length and sha256 of what goes by. */
export class Digest {
  readonly #hash = createHash('sha256');
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#size += chunk.length;
  }

  async *through(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      this.add(chunk);
      yield chunk;
    }
  }

  /** To be called once, at the end. */
  hash(): Hash {
    return { algorithm: 'sha256', digest: this.#hash.digest() };
  }
}
