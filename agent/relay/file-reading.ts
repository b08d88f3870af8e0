import { createHash } from 'node:crypto';
import type { PartialNar } from '../cache/nar-cache.ts';
import type { Hash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { SourceError } from '../source/error.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { Choice, Origin } from './choice.ts';
import type { Givers } from './givers.ts';
import { Notice } from './notice.ts';
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
  /** The `Via` headers of the agents that wait for it (I10). */
  readonly via: () => string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** So many chunks wait in memory for whom reads slowly. */
const maxUnstored = 4;

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

/**
 * Reads one file from its first byte to its last, from as many supplies as it takes, each from where the one before stopped. What comes
 * goes to the disk as fast as it comes and is read back from there, so that neither a slow client nor a slow decoder holds the
 * link back.
 */
export class FileReading {
  readonly file: NarFile;
  readonly #options: FileReadingOptions;
  readonly #hash = createHash('sha256');
  readonly #supplies = new Map<string, Supply>();
  readonly #earlier: number;
  /** What the disk did not take. */
  readonly #unstored: Uint8Array[] = [];
  readonly #moved = new Notice();
  #storing: boolean;
  readonly #leaving = new AbortController();
  #received: number;
  #read = 0;
  #size: number | undefined;
  /** The supply of which nothing has come yet. */
  #awaited: { readonly supply: Supply; readonly leaving: AbortController } | undefined;
  #giving: { readonly id: string; readonly pace: Pace } | undefined;

  constructor(options: FileReadingOptions) {
    const { supply, partial, narinfo } = options;
    this.#options = options;
    this.file = partial?.meta ?? supply.file;
    this.#storing = partial !== undefined;
    this.#earlier = partial?.length ?? 0;
    this.#received = this.#earlier;
    if (this.file.compression === 'none') this.#size = narinfo.narSize;
    else if (this.#earlier > 0 && this.#earlier === this.file.fileSize) this.#size = this.#earlier;
  }

  /** What there is of the file so far. */
  get begun(): Begun {
    return { file: this.file, bytes: this.#received, trusted: this.trusted };
  }

  get progress(): Progress {
    return {
      received: this.#received,
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
    return { hash, size: this.#read };
  }

  /** The supply that was asked and has not given a byte yet. */
  get awaited(): Supply | undefined {
    return this.#awaited?.supply;
  }

  /** Leaves the supply that is awaited for another, or for none. */
  leaveAwaited(): void {
    const { supply, leaving } = this.#awaited ?? {};
    leaving?.abort(new SourceError('gone', `${supply?.id} waits for the same NAR from here`));
  }

  /** Nobody wants the rest. To be called before the loop over `bytes` is left early, which would else wait for what comes next. */
  leave(): void {
    this.#leaving.abort(new Error('the file is not read to its end'));
    this.#moved.give();
  }

  /**
   * The file's bytes.
   * @throws SwitchFile when the best supply has another file; NarUnavailable when there is none; CacheError when the partial file fails
   */
  async *bytes(): AsyncGenerator<Uint8Array> {
    const signal = AbortSignal.any([this.#options.signal, this.#leaving.signal]);
    let outcome: { readonly error: unknown } | undefined;
    const ends = (error?: unknown) => {
      outcome = { error };
      this.#moved.give();
    };
    const fetching = this.#fetch(signal).then(() => ends(), ends);
    try {
      for (;;) {
        const ended = outcome;
        const moved = this.#moved.next();
        yield* this.#arrived();
        if (ended?.error !== undefined) throw ended.error;
        if (ended !== undefined) return;
        await moved;
      }
    } finally {
      this.leave();
      await fetching;
    }
  }

  /** What has come and was not read yet: first what is on disk, then what the disk did not take. */
  async *#arrived(): AsyncGenerator<Uint8Array> {
    const { partial } = this.#options;
    if (partial !== undefined && this.#read < partial.length)
      for await (const chunk of partial.read(this.#read)) yield this.#count(chunk);
    for (let chunk = this.#unstored.shift(); chunk !== undefined; chunk = this.#unstored.shift()) {
      this.#moved.give();
      yield this.#count(chunk);
    }
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const { choice } = this.#options;
    for (let { supply } = this.#options; !this.#whole; ) {
      signal.throwIfAborted();
      if (!choice.continues(supply, this.begun)) throw new SwitchFile(supply);
      await this.#fetchFrom(supply, signal);
      if (!this.#whole) supply = await choice.next(this.begun, signal);
    }
  }

  /** Takes what a supply gives, up to where it stops, is left, or the file ends. */
  async #fetchFrom(supply: Supply, signal: AbortSignal): Promise<void> {
    const { choice, clock, progress, givers, via } = this.#options;
    const pace = new Pace(clock);
    this.#giving = { id: supply.id, pace };
    const from = this.#received;
    let skip = 0;
    const leaving = new AbortController();
    this.#awaited = { supply, leaving };
    try {
      const body = await supply.open(from, AbortSignal.any([signal, leaving.signal]), {
        via: via(),
        impatient: choice.isImpatient(supply),
      });
      this.#learnSize(body.size, supply);
      skip = from - body.offset;
      let unwanted = skip;
      let begun = false;
      for await (const whole of pace.timed(body.chunks)) {
        this.#awaited = undefined;
        const chunk = unwanted > 0 ? whole.subarray(unwanted) : whole;
        const known = whole.length - chunk.length;
        unwanted -= known;
        if (!begun) givers.begins(supply, from);
        begun = true;
        givers.gives(supply, whole.length, known);
        if (chunk.length === 0) continue;
        this.#supplies.set(supply.id, supply);
        await this.#keep(chunk, supply, signal);
        const sample = pace.sample();
        if (sample !== undefined) supply.delivered(sample);
        if (sample !== undefined && !(await choice.stays(supply, sample, this.begun, this.#rest))) return;
      }
      // It says that this is the end, even if it gave nothing.
      this.#supplies.set(supply.id, supply);
      this.#size ??= this.#received;
      if (this.#whole) return;
      const missing = `${supply.id} ended ${this.file.url} after ${this.#received} of ${this.#size} bytes`;
      throw new SourceError('broken', missing);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      // A source without ranges gives everything anew each time.
      const progressed = skip === 0 && this.#received - from >= progress;
      await choice.failed(supply, error, from, progressed);
    } finally {
      this.#awaited = undefined;
      this.#giving = undefined;
      const all = pace.whole();
      if (all !== undefined) supply.delivered(all);
    }
  }

  /** @throws SourceError `wrong` when the file is not of the size it had */
  #learnSize(size: number | undefined, supply: Supply): void {
    if (size === undefined) return;
    if ((this.#size !== undefined && this.#size !== size) || size < this.#received) {
      const had = this.#size ?? `${this.#received} or more`;
      throw new SourceError(
        'wrong',
        `${supply.id} has ${supply.file.url} with ${size} bytes instead of ${had}`,
      );
    }
    this.#size = size;
  }

  /** Stores what came; what the disk does not take waits in memory, a little, until it is read. */
  async #keep(chunk: Uint8Array, supply: Supply, signal: AbortSignal): Promise<void> {
    const { partial, refused, narinfo } = this.#options;
    this.#received += chunk.length;
    if (this.#received > longestFile(narinfo))
      throw new SourceError('wrong', `${supply.id} gives more for ${supply.file.url} than its NAR can need`);
    const before = partial?.length ?? 0;
    if (partial !== undefined && this.#storing && !(await partial.append(chunk))) {
      this.#storing = false;
      refused();
    }
    const stored = (partial?.length ?? 0) - before;
    if (stored < chunk.length) this.#unstored.push(chunk.subarray(stored));
    this.#moved.give();
    while (this.#unstored.length > maxUnstored && !signal.aborted) await this.#moved.next();
  }

  #count(chunk: Uint8Array): Uint8Array {
    this.#read += chunk.length;
    if (this.file.compression !== 'none') this.#hash.update(chunk);
    return chunk;
  }

  get #whole(): boolean {
    return this.#size !== undefined && this.#received >= this.#size;
  }

  /** Bytes still to come, as far as known. */
  get #rest(): number {
    return (this.#size ?? this.file.fileSize ?? this.#options.narinfo.narSize) - this.#received;
  }
}

/** No compression makes a NAR longer than this, in bytes. */
function longestFile({ narSize }: Narinfo): number {
  return 1.1 * narSize + 65_536;
}
