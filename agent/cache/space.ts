import type { Clock } from '../telemetry/clock.ts';
import { Serial } from './serial.ts';

/** Free space is looked up again after that much was given out, or that many ms. */
const largestStep = 32 * 1024 * 1024;
const freshFor = 5_000;

/** The limits of the cache directory, in bytes; 0 is no limit. */
export interface SpaceLimits {
  readonly maxSize: number;
  readonly minFree: number;
}

/** Gives out disk space within the limits, and has old entries removed to make room. */
export class Space {
  readonly #clock: Clock;
  readonly #limits: SpaceLimits;
  readonly #used: () => number;
  readonly #onDisk: () => Promise<{ free: number; total: number }>;
  readonly #evict: (bytes: number) => Promise<void>;
  /** Two that make room at the same time would count on the same bytes. */
  readonly #serial = new Serial();
  #granted = 0;
  #free: number | undefined;
  #total = Number.POSITIVE_INFINITY;
  #freshUntil = Number.NEGATIVE_INFINITY;

  /**
   * @param used bytes that the cache takes now
   * @param onDisk what is free on the file system
   * @param evict removes what may go, to free that many bytes or as many as there are
   */
  constructor(
    clock: Clock,
    limits: SpaceLimits,
    used: () => number,
    onDisk: () => Promise<{ free: number; total: number }>,
    evict: (bytes: number) => Promise<void>,
  ) {
    this.#clock = clock;
    this.#limits = limits;
    this.#used = used;
    this.#onDisk = onDisk;
    this.#evict = evict;
  }

  /** What was free on the file system when last looked up, in bytes. */
  get free(): number | undefined {
    return this.#free;
  }

  /** The largest file to store, in bytes: half of all that there is, or one would push out everything else. */
  get largest(): number {
    return Math.min(this.#limits.maxSize || Number.POSITIVE_INFINITY, this.#total - this.#limits.minFree) / 2;
  }

  /** Whether that many bytes may be written now. Rejects when the file system does not tell what is free. */
  take(bytes: number): Promise<boolean> | true {
    return this.#takeGranted(bytes) || this.#serial.run(() => this.#takeMore(bytes));
  }

  /** Removes what is above the limits. Rejects as `take` does. */
  tidy(): Promise<void> {
    return this.#serial.run(async () => {
      this.#granted = 0;
      const room = await this.#room();
      if (room.bytes < 0) await this.#evict(-room.bytes);
    });
  }

  /** Makes room for more to come; whether there is enough then to begin again. Rejects as `take` does. */
  makeRoom(): Promise<boolean> {
    return this.#serial.run(async () => {
      this.#granted = 0;
      const before = await this.#room();
      if (before.bytes < before.step) await this.#evict(before.step - before.bytes);
      const { bytes, step } = await this.#room();
      return bytes >= step;
    });
  }

  /** Whether that many bytes could be written, now or after what may go has gone. Rejects as `take` does. */
  hasRoomFor(bytes: number): Promise<boolean> {
    return this.#serial.run(async () => {
      const before = await this.#room();
      if (before.bytes >= bytes) return true;
      await this.#evict(bytes - before.bytes);
      return (await this.#room()).bytes >= bytes;
    });
  }

  #takeGranted(bytes: number): boolean {
    if (bytes === 0) return true;
    if (this.#granted < bytes || this.#clock.now() > this.#freshUntil) return false;
    this.#granted -= bytes;
    return true;
  }

  async #takeMore(bytes: number): Promise<boolean> {
    if (this.#takeGranted(bytes)) return true;
    const before = await this.#room();
    const step = Math.max(bytes, before.step);
    if (before.bytes < step) await this.#evict(step - before.bytes);
    const room = before.bytes < step ? (await this.#room()).bytes : before.bytes;
    this.#granted = Math.min(room, step);
    this.#freshUntil = this.#clock.now() + freshFor;
    return this.#takeGranted(bytes);
  }

  /** How much more may be used (negative when it is too much already), and how much of that to give out at a time. */
  async #room(): Promise<{ bytes: number; step: number }> {
    const { minFree } = this.#limits;
    const maxSize = this.#limits.maxSize || Number.POSITIVE_INFINITY;
    const { free, total } = await this.#onDisk();
    this.#free = free;
    this.#total = total;
    return {
      bytes: Math.min(free - minFree, maxSize - this.#used()),
      step: Math.min(largestStep, Math.ceil(maxSize / 20), Math.ceil(total / 20)),
    };
  }
}
