import type { Clock } from '../telemetry/clock.ts';
import { Notice } from './notice.ts';

/** A client in a transfer. */
export interface Reader {
  /** The position of the next byte that it gets. */
  at: number;
  /** What it got turned out wrong: it gets nothing more. */
  spoilt: boolean;
}

/** The clients of one transfer. */
export class Readers {
  readonly #clock: Clock;
  readonly #readers = new Set<Reader>();
  readonly #taken = new Notice();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get none(): boolean {
    return this.#readers.size === 0;
  }

  /** Whether a client has had bytes, from this transfer or from one before. */
  get anyBegun(): boolean {
    return [...this.#readers].some(({ at }) => at > 0);
  }

  add(reader: Reader): void {
    this.#readers.add(reader);
  }

  remove(reader: Reader): void {
    this.#readers.delete(reader);
    this.#taken.give();
  }

  /** A client has taken bytes. */
  took(): void {
    this.#taken.give();
  }

  /** What clients have had so far was wrong. */
  spoil(): void {
    for (const reader of this.#readers) reader.spoilt ||= reader.at > 0;
  }

  /** Nobody is waited for any more. */
  close(): void {
    this.#closed = true;
    this.#taken.give();
  }

  /** Waits until the foremost of the clients that could read on between two positions has come to `goal`. */
  async foremostAt(goal: number, from: number, until: number): Promise<void> {
    while (!this.#closed && this.#foremost(from, until) < goal) await this.#taken.next();
  }

  /** The same, but for no longer than `ms`. Resolves to how long it took, in ms. */
  async foremostAtWithin(ms: number, goal: number, from: number, until: number): Promise<number> {
    if (this.#foremost(from, until) >= goal) return 0;
    const started = this.#clock.now();
    let late = ms <= 0;
    const cancel = this.#clock.after(ms, () => {
      late = true;
      this.#taken.give();
    });
    while (!late && !this.#closed && this.#foremost(from, until) < goal) await this.#taken.next();
    cancel();
    return this.#clock.now() - started;
  }

  /** Infinity when there is none. */
  #foremost(from: number, until: number): number {
    const positions = [...this.#readers].map(({ at }) => at).filter((at) => at >= from && at < until);
    return positions.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...positions);
  }
}
