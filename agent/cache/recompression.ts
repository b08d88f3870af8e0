import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { decode } from '../nix/decode.ts';
import { FormatError } from '../nix/error.ts';
import { narHashOf, sameHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { Digest } from './digest.ts';
import type { NarCache, PartialNar, StoredFile } from './nar-cache.ts';
import { Serial } from './serial.ts';

/** Level 3 is faster than any disk or network that narrowcast is for; more saves little. */
const options = { params: { [constants.ZSTD_c_compressionLevel]: 3 }, chunkSize: 256 * 1024 };
/** What is more to do than this is not done: nothing depends on it. */
const mostWaiting = 1_000;

/** Stores NARs that came as xz anew as zstd, which is decoded ten times as fast: in the background, one at a time. */
export class Recompression {
  readonly #cache: NarCache;
  readonly #serial = new Serial();
  #waiting = 0;
  #stopped = false;

  constructor(cache: NarCache) {
    this.#cache = cache;
  }

  /** A path has been stored. */
  add(path: HashPart): void {
    if (this.#waiting >= mostWaiting) return;
    this.#waiting += 1;
    void this.#serial.run(async () => {
      this.#waiting -= 1;
      if (!this.#stopped) await this.#recompress(path);
    });
  }

  /** Resolves when all that was added is done. */
  settled(): Promise<void> {
    return this.#serial.run(async () => {});
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.settled();
  }

  async #recompress(path: HashPart): Promise<void> {
    const narinfo = await this.#cache.narinfo(path);
    if (narinfo?.compression !== 'xz' || narinfo.fileHash === undefined) return;
    // Another path with the same NAR may have been here before.
    const adopted = await this.#cache.adopt(narinfo);
    if (adopted?.compression !== 'xz') return;
    const file = await this.#cache.open(narinfo);
    if (file === undefined) return;
    // Not by its NarHash, under which a transfer may be going on.
    const partial = await this.#cache.partial(narHashOf(narinfo.fileHash));
    try {
      if (partial !== undefined) await this.#copy(narinfo, file, partial);
    } catch (error) {
      if (error instanceof FormatError) await this.#cache.quarantine(narinfo, error.message);
    } finally {
      await partial?.discard();
      await file.close();
    }
  }

  async #copy(narinfo: Narinfo, file: StoredFile, partial: PartialNar): Promise<void> {
    if (!(await partial.begin({ sourceId: 'recompression', url: narinfo.url, compression: 'zstd' }))) return;
    const nar = new Digest();
    const compressed = new Digest();
    await pipeline(
      nar.through(decode('xz', file.read(0))),
      createZstdCompress(options),
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) {
          compressed.add(chunk);
          if (this.#stopped || !(await partial.append(chunk))) throw new Error('given up');
        }
      },
    );
    if (nar.size !== narinfo.narSize || !sameHash(nar.hash(), narinfo.narHash))
      throw new FormatError(
        'wrong-nar',
        'Decoded again, the stored NAR has another hash than its narinfo says.',
      );
    await partial.commit(narinfo, { hash: compressed.hash(), size: compressed.size });
  }
}
