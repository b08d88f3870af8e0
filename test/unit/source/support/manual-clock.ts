import type { Clock } from '../../../../agent/telemetry/clock.ts';

interface Timer {
  readonly due: number;
  readonly call: () => void;
}

/** Time that stands still until a test lets it pass. */
export class ManualClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<Timer>();
  #changed = Promise.withResolvers<void>();
  #looked = Promise.withResolvers<void>();

  now(): number {
    this.#looked.resolve();
    return this.#now;
  }

  /** Resolves when somebody has looked at the time after this call, and then done what needs no more I/O. */
  async looked(): Promise<void> {
    this.#looked = Promise.withResolvers();
    await this.#looked.promise;
    await turn();
  }

  after(ms: number, call: () => void): () => void {
    const timer = { due: this.#now + ms, call };
    this.#timers.add(timer);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    return () => this.#timers.delete(timer);
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Resolves when a timer waits that is due in `from` to `to` ms, to the ms until then. */
  async timer(from: number, to = from): Promise<number> {
    for (;;) {
      for (const { due } of this.#timers) {
        const ms = due - this.#now;
        if (ms >= from && ms <= to) return ms;
      }
      await this.#changed.promise;
    }
  }

  /** Waits for such a timer and lets the time until then pass. */
  async passTimer(from: number, to = from): Promise<number> {
    const ms = await this.timer(from, to);
    await this.pass(ms);
    return ms;
  }

  /** Lets `ms` pass, calling each timer at its time, and lets promises take their turn after each. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#call(next);
      await turn();
    }
    this.#now = end;
    await turn();
  }

  /** Lets `ms` pass at once: what timers set going goes on only after this call. */
  passNow(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) this.#call(next);
    this.#now = end;
  }

  #call(timer: Timer): void {
    this.#now = Math.max(this.#now, timer.due);
    this.#timers.delete(timer);
    timer.call();
  }

  #next(end: number): Timer | undefined {
    return [...this.#timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
  }
}

/** Lets every promise that needs neither a timer nor I/O take its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
