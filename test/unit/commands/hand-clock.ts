import type { Clock } from '../../../agent/telemetry/clock.ts';

/** A clock that stands still until it is told to go on. */
export class HandClock implements Clock {
  #now = 5_000;
  #timers: { at: number; call: () => void }[] = [];

  /** How many calls are to come. */
  get waiting(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#timers.filter(({ at }) => at <= this.#now);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { call } of due) call();
  }
}
