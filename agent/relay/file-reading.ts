import { createHash } from 'node:crypto';
import type { PartialNar } from '../cache/nar-cache.ts';
import type { Hash } from '../nix/hash.ts';
import { SourceError } from '../source/error.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { NarFile, Supply } from './supply.ts';

/** Fewer bytes than this do not count: a source that gives ever less is as good as one that gives nothing. */
const someProgress = 16 * 1024;

/** A supply that stopped, and whether it gave anything this time. */
export interface FailedSupply {
  readonly supply: Supply;
  readonly error: SourceError;
  readonly progress: boolean;
}

export interface FileReadingOptions {
  readonly file: NarFile;
  /** Size of the file in bytes where that is certain. */
  readonly exactSize: number | undefined;
  /** Bytes of this file from an earlier try, and where to put what comes. */
  readonly partial: PartialNar | undefined;
  /** The next supply of this file to try, after `failed` if it did; rejects when the reading should end. */
  readonly next: (failed: FailedSupply | undefined) => Promise<Supply>;
  /** The disk takes no more of this file. */
  readonly refused: () => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Reads one file from its first byte to its last, from as many supplies as it takes, each from where the one before stopped. */
export class FileReading {
  readonly file: NarFile;
  /** Every supply whose bytes are among those read, the earlier try's included. */
  readonly contributors = new Map<string, Supply>();
  readonly #options: FileReadingOptions;
  readonly #hash = createHash('sha256');
  #position = 0;
  #size: number | undefined;
  #storing = true;

  constructor(options: FileReadingOptions) {
    this.file = options.file;
    this.#options = options;
    this.#size = options.exactSize;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  /** SHA-256 and size of all that was read. */
  digest(): { hash: Hash; size: number } {
    return { hash: { algorithm: 'sha256', digest: this.#hash.copy().digest() }, size: this.#position };
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    const { partial, next, signal } = this.#options;
    if (partial !== undefined && partial.length > 0) {
      for await (const chunk of partial.read(0)) yield this.#count(chunk);
    }
    let failed: FailedSupply | undefined;
    while (this.#size === undefined || this.#position < this.#size) {
      const supply = await next(failed);
      signal.throwIfAborted();
      const before = this.#position;
      try {
        yield* this.#from(supply);
        if (this.#size === undefined || this.#position >= this.#size) return;
        const missing = `${supply.id} ended ${this.file.url} after ${this.#position} of ${this.#size} bytes`;
        failed = {
          supply,
          error: new SourceError('broken', missing),
          progress: this.#position - before >= someProgress,
        };
      } catch (error) {
        if (!(error instanceof SourceError)) throw error;
        failed = { supply, error, progress: this.#position - before >= someProgress };
      }
    }
  }

  async *#from(supply: Supply): AsyncGenerator<Uint8Array> {
    const { refused, clock, signal } = this.#options;
    const body = await supply.open(this.#position, signal);
    if (body.size !== undefined) {
      if (this.#size !== undefined && this.#size !== body.size) {
        throw new SourceError(
          'wrong',
          `${supply.id} has ${this.file.url} with ${body.size} bytes instead of ${this.#size}`,
        );
      }
      this.#size = body.size;
    }
    this.contributors.set(supply.id, supply);
    let skip = this.#position - body.offset;
    for await (const whole of timed(body.chunks, supply, clock)) {
      const chunk = skip > 0 ? whole.subarray(Math.min(skip, whole.length)) : whole;
      skip -= whole.length - chunk.length;
      if (chunk.length === 0) continue;
      if (this.#storing && !supply.stored && !(await this.#store(chunk))) refused();
      yield this.#count(chunk);
    }
  }

  async #store(chunk: Uint8Array): Promise<boolean> {
    this.#storing = (await this.#options.partial?.append(chunk)) ?? false;
    return this.#storing || this.#options.partial === undefined;
  }

  #count(chunk: Uint8Array): Uint8Array {
    this.#position += chunk.length;
    // The file of an uncompressed NAR is the NAR, whose hash is computed already.
    if (this.file.compression !== 'none') this.#hash.update(chunk);
    return chunk;
  }
}

/** Measures a supply's speed by the time spent waiting for it. */
async function* timed(
  chunks: AsyncIterable<Uint8Array>,
  supply: Supply,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  const enough = 65_536;
  let bytes = 0;
  let waited = 0;
  let since = clock.now();
  for await (const chunk of chunks) {
    waited += clock.now() - since;
    bytes += chunk.length;
    if (bytes >= enough) {
      supply.delivered(bytes, waited);
      bytes = 0;
      waited = 0;
    }
    yield chunk;
    since = clock.now();
  }
}
