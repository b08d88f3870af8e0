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

  get count(): number {
    return this.#readers.size;
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

  /** Waits until the foremost of the clients that have come to a position between two has come to `goal`. */
  async foremostAt(goal: number, from: number, until: number): Promise<void> {
    const early = () => {
      const positions = this.#between(from, until);
      return positions.length > 0 && Math.max(...positions) < goal;
    };
    while (!this.#closed && early()) await this.#taken.next();
  }

  /** Waits until all of them have, but for no longer than `ms`. Resolves to how long it took, in ms. */
  async allAt(goal: number, from: number, until: number, ms: number): Promise<number> {
    const early = () => this.#between(from, until).some((at) => at < goal);
    if (!early()) return 0;
    const started = this.#clock.now();
    let late = ms <= 0;
    const cancel = this.#clock.after(ms, () => {
      late = true;
      this.#taken.give();
    });
    while (!late && !this.#closed && early()) await this.#taken.next();
    cancel();
    return this.#clock.now() - started;
  }

  #between(from: number, until: number): number[] {
    return [...this.#readers].map(({ at }) => at).filter((at) => at >= from && at <= until);
  }
}
