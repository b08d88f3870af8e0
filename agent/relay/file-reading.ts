import { createHash } from 'node:crypto';
import type { PartialNar } from '../cache/nar-cache.ts';
import type { Hash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { SourceError } from '../source/error.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { Choice, Origin } from './choice.ts';
import type { Givers } from './givers.ts';
import { Pace } from './pace.ts';
import type { Begun, NarFile, Supply } from './supply.ts';

export interface FileReadingOptions {
  /** Where to begin. */
  readonly supply: Supply;
  readonly choice: Choice;
  readonly givers: Givers;
  /** What is true of the NAR. */
  readonly narinfo: Narinfo;
  /** Where to put what comes; it may have bytes of this file from an earlier try. */
  readonly partial: PartialNar | undefined;
  /** Whether those came from sources that are trusted. */
  readonly partialTrusted: boolean;
  /** The disk takes no more. */
  readonly refused: () => void;
  /** Fewer bytes than this are no progress. */
  readonly progress: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Another file of the same NAR has to be read, from its first byte on. */
export class SwitchFile extends Error {
  readonly supply: Supply;

  constructor(supply: Supply) {
    super('another file of the NAR is read now');
    this.supply = supply;
  }
}

/** How the reading of a file goes. */
export interface Progress {
  /** Bytes of the file that are here. */
  readonly received: number;
  /** Bytes of the whole file, where that is known. */
  readonly total: number | undefined;
  /** Bytes a second, lately. */
  readonly rate: number;
  /** Id of the supply that gives now. */
  readonly source: string | undefined;
}

/** Reads one file from its first byte to its last, from as many supplies as it takes, each from where the one before stopped. */
export class FileReading {
  readonly file: NarFile;
  readonly #options: FileReadingOptions;
  readonly #hash = createHash('sha256');
  readonly #supplies = new Map<string, Supply>();
  readonly #earlier: number;
  #position = 0;
  #size: number | undefined;
  #storing = true;
  #giving: { readonly id: string; readonly pace: Pace } | undefined;

  constructor(options: FileReadingOptions) {
    const { supply, partial, narinfo } = options;
    this.#options = options;
    this.file = partial?.meta ?? supply.file;
    this.#earlier = partial?.length ?? 0;
    if (this.file.compression === 'none') this.#size = narinfo.narSize;
    else if (this.#earlier > 0 && this.#earlier === this.file.fileSize) this.#size = this.#earlier;
  }

  /** What there is of the file so far. */
  get begun(): Begun {
    return { file: this.file, bytes: this.#position, trusted: this.trusted };
  }

  get progress(): Progress {
    return {
      received: this.#position,
      total: this.#size ?? this.file.fileSize,
      rate: this.#giving?.pace.rate ?? 0,
      source: this.#giving?.id,
    };
  }

  /** Whether all bytes so far are from sources whose bytes may reach clients before the whole NAR is verified. */
  get trusted(): boolean {
    if (this.#earlier > 0 && !this.#options.partialTrusted) return false;
    for (const { trusted } of this.#supplies.values()) if (!trusted) return false;
    return true;
  }

  /** Where the bytes came from. */
  get origin(): Origin {
    return { supplies: [...this.#supplies.values()], earlier: this.#earlier > 0 };
  }

  /** SHA-256 and size of all that was read. The file of an uncompressed NAR is the NAR, whose hash holds. */
  digest(): { hash: Hash; size: number } {
    const hash: Hash =
      this.file.compression === 'none'
        ? this.#options.narinfo.narHash
        : { algorithm: 'sha256', digest: this.#hash.copy().digest() };
    return { hash, size: this.#position };
  }

  /**
   * The file's bytes.
   * @throws SwitchFile when the best supply has another file; NarUnavailable when there is none; CacheError when the partial file fails
   */
  async *bytes(): AsyncGenerator<Uint8Array> {
    const { partial, choice, signal } = this.#options;
    if (partial !== undefined) for await (const chunk of partial.read(0)) yield this.#count(chunk);
    let { supply } = this.#options;
    while (!this.#whole) {
      signal.throwIfAborted();
      if (!choice.continues(supply, this.begun)) throw new SwitchFile(supply);
      yield* this.#bytesFrom(supply);
      if (!this.#whole) supply = await choice.next(this.begun);
    }
  }

  /** What a supply gives, up to where it stops, is left, or the file ends. */
  async *#bytesFrom(supply: Supply): AsyncGenerator<Uint8Array> {
    const { choice, clock, signal, progress, givers } = this.#options;
    const pace = new Pace(clock);
    this.#giving = { id: supply.id, pace };
    const from = this.#position;
    let skip = 0;
    try {
      const body = await supply.open(from, signal);
      this.#learnSize(body.size, supply);
      skip = from - body.offset;
      let unwanted = skip;
      let begun = false;
      for await (const whole of pace.timed(body.chunks)) {
        const chunk = unwanted > 0 ? whole.subarray(unwanted) : whole;
        const known = whole.length - chunk.length;
        unwanted -= known;
        if (!begun) givers.begins(supply, from);
        begun = true;
        givers.gives(supply, whole.length, known);
        if (chunk.length === 0) continue;
        this.#supplies.set(supply.id, supply);
        await this.#store(chunk, supply);
        yield this.#count(chunk);
        const sample = pace.sample();
        if (sample !== undefined) supply.delivered(sample);
        if (sample !== undefined && !(await choice.stays(supply, sample, this.begun, this.#rest))) return;
      }
      // It says that this is the end, even if it gave nothing.
      this.#supplies.set(supply.id, supply);
      this.#size ??= this.#position;
      if (this.#whole) return;
      const missing = `${supply.id} ended ${this.file.url} after ${this.#position} of ${this.#size} bytes`;
      throw new SourceError('broken', missing);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      // A source without ranges gives everything anew each time.
      const progressed = skip === 0 && this.#position - from >= progress;
      await choice.failed(supply, error, from, progressed);
    } finally {
      this.#giving = undefined;
      const all = pace.whole();
      if (all !== undefined) supply.delivered(all);
    }
  }

  /** @throws SourceError `wrong` when the file is not of the size it had */
  #learnSize(size: number | undefined, supply: Supply): void {
    if (size === undefined) return;
    if ((this.#size !== undefined && this.#size !== size) || size < this.#position) {
      const had = this.#size ?? `${this.#position} or more`;
      throw new SourceError(
        'wrong',
        `${supply.id} has ${supply.file.url} with ${size} bytes instead of ${had}`,
      );
    }
    this.#size = size;
  }

  async #store(chunk: Uint8Array, supply: Supply): Promise<void> {
    const { partial, refused } = this.#options;
    if (partial === undefined || supply.stored || !this.#storing) return;
    this.#storing = await partial.append(chunk);
    if (!this.#storing) refused();
  }

  get #whole(): boolean {
    return this.#size !== undefined && this.#position >= this.#size;
  }

  #count(chunk: Uint8Array): Uint8Array {
    this.#position += chunk.length;
    if (this.file.compression !== 'none') this.#hash.update(chunk);
    return chunk;
  }

  /** Bytes still to come, as far as known. */
  get #rest(): number {
    return (this.#size ?? this.file.fileSize ?? this.#options.narinfo.narSize) - this.#position;
  }
}
