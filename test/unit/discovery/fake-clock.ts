import type { Clock } from '../../../discovery/clock.ts';

interface Timer {
  due: number;
  readonly period: number | undefined;
  readonly run: () => void;
}

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #now = 1_000_000;
  #slept = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now + this.#slept;
  }

  after(delay: number, run: () => void): () => void {
    return this.#add({ due: this.#now + delay, period: undefined, run });
  }

  every(period: number, run: () => void): () => void {
    return this.#add({ due: this.#now + period, period, run });
  }

  /** How many timers wait: a stopped part leaves none. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass, running each timer at its time, and gives promises their turn after each. */
  async pass(ms: number): Promise<void> {
    await settle();
    const end = this.#now + ms;
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.due);
      if (next.period === undefined) this.#timers.delete(next);
      else next.due += next.period;
      next.run();
      await settle();
    }
    this.#now = end;
    await settle();
  }

  /** The machine sleeps for `ms`: the wall clock goes on, timers don't. */
  sleep(ms: number): void {
    this.#slept += ms;
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  #next(end: number): Timer | undefined {
    return [...this.#timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
  }
}

/** Lets every promise that can settle without a timer or I/O do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
