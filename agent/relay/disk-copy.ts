import { narUrl } from '../cache/layout.ts';
import type { NarCache, PartialNar } from '../cache/nar-cache.ts';
import { type Compression, type Decodable, isDecodable } from '../nix/compression.ts';
import { decode } from '../nix/decode.ts';
import type { Hash } from '../nix/hash.ts';
import type { KnownPath } from './known-path.ts';
import type { Begun, Supply } from './supply.ts';

/** The file that is being read, as far as it is on this machine's disk: decoded anew for each client that falls behind. */
export interface Copy {
  /** The NAR from its first byte; goes on as the file grows, and ends where another file takes its place. */
  read(): AsyncIterable<Uint8Array>;
}

export interface DiskCopyOptions {
  readonly known: KnownPath;
  readonly cache: NarCache | undefined;
  /** Resolves when the file may have grown. */
  readonly moved: () => Promise<void>;
  /** Whether it will not grow any more. */
  readonly complete: () => boolean;
}

/** A transfer's place on the disk: the partial file that takes what comes, or the stored file that it reads from. */
export class DiskCopy {
  readonly #options: DiskCopyOptions;
  #partial: PartialNar | undefined;
  #takes = false;
  /** How the present file is compressed, where it is the one in the partial file. */
  #stores: Compression | undefined;
  #copy: Copy | undefined;

  constructor(options: DiskCopyOptions) {
    this.#options = options;
  }

  /** Whether what comes is stored. */
  get takes(): boolean {
    return this.#takes;
  }

  /** Whether a client that falls behind can read from the disk, now or as soon as the next file is begun. */
  get readable(): boolean {
    return this.#takes || this.#copy !== undefined;
  }

  /** The present file; undefined between two. */
  get copy(): Copy | undefined {
    return this.#copy;
  }

  /** Takes up what is there. Resolves to what an earlier transfer began; `trusts` says whether a source's bytes count as trusted. */
  async open(trusts: (sourceId: string) => boolean): Promise<Begun | undefined> {
    const { known, cache } = this.#options;
    if (!known.stored && cache !== undefined) known.stored = await cache.adopt(known.narinfo);
    this.#partial = await cache?.partial(known.narHash);
    this.#takes = this.#partial !== undefined;
    const { meta, length = 0 } = this.#partial ?? {};
    return meta && { file: meta, bytes: length, trusted: trusts(meta.sourceId) };
  }

  /**
   * A supply's file is read from now on, and what is there of it is kept if it `continues`. Resolves to where to store it; undefined when
   * it is not stored, or is already.
   */
  async begin(supply: Supply, continues: boolean): Promise<PartialNar | undefined> {
    const partial = this.#partial;
    const { compression } = supply.file;
    this.#copy = undefined;
    this.#stores = undefined;
    if (!isDecodable(compression)) return undefined;
    if (supply.stored) {
      this.#copy = this.#copyOf(compression, () => wholeFile(supply));
      return undefined;
    }
    if (partial === undefined) return undefined;
    if (!continues) this.#takes = await partial.begin(supply.file);
    if (!this.#takes) return undefined;
    this.#stores = compression;
    this.#copy = this.#copyOf(compression, (isPresent) => this.#follow(partial, isPresent));
    return partial;
  }

  /** The disk takes no more of this file. What is there may help a later transfer. */
  refused(): void {
    this.#takes = false;
    this.#copy = undefined;
  }

  /** The partial file is whole and verified. */
  async commit(file: { readonly hash: Hash; readonly size: number }): Promise<void> {
    const { known } = this.#options;
    const compression = this.#takes ? this.#stores : undefined;
    if (compression !== undefined && (await this.#partial?.commit(known.narinfo, file)))
      known.stored = {
        url: narUrl(file.hash, compression).url,
        compression,
        fileHash: file.hash,
        fileSize: file.size,
      };
  }

  /** What is there of the file is of no use; `forGood`: nor is the disk. */
  async discard({ forGood }: { readonly forGood: boolean }): Promise<void> {
    const { known, cache } = this.#options;
    this.#copy = undefined;
    await this.#partial?.discard();
    this.#partial = forGood ? undefined : await cache?.partial(known.narHash);
    this.#takes = this.#partial !== undefined;
  }

  /** Leaves what is there for a later transfer. */
  async release(): Promise<void> {
    const partial = this.#partial;
    this.#partial = undefined;
    await partial?.release();
  }

  #copyOf(compression: Decodable, bytes: (isPresent: () => boolean) => AsyncIterable<Uint8Array>): Copy {
    const copy = {
      read: () =>
        decode(
          compression,
          bytes(() => this.#copy === copy),
        ),
    };
    return copy;
  }

  async *#follow(partial: PartialNar, isPresent: () => boolean): AsyncGenerator<Uint8Array> {
    const { moved, complete } = this.#options;
    for (let at = 0; isPresent(); ) {
      const whole = complete();
      const more = moved();
      for await (const chunk of partial.read(at)) {
        // By now it may be another file's.
        if (!isPresent()) return;
        at += chunk.length;
        yield chunk;
      }
      if (whole) return;
      await more;
    }
  }
}

async function* wholeFile(supply: Supply): AsyncGenerator<Uint8Array> {
  yield* (await supply.open(0, new AbortController().signal)).chunks;
}
