import type { Clock } from '../../../../agent/telemetry/clock.ts';

/** Time that stands still until told to go on. The wall clock begins at the real time, for file systems have no other. */
export class FakeTime implements Clock {
  #now = 0;
  readonly #began = Date.now();
  readonly #timers = new Set<{ readonly due: number; readonly call: () => void }>();

  now(): number {
    return this.#now;
  }

  readonly wall = (): number => this.#began + this.#now;

  after(ms: number, call: () => void): () => void {
    const timer = { due: this.#now + ms, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets `ms` pass and calls what is due, in order. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#now = next.due;
      this.#timers.delete(next);
      next.call();
    }
    this.#now = end;
  }

  #next(end: number) {
    return [...this.#timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
  }
}
