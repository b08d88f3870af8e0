import type { Clock } from '../telemetry/clock.ts';

export interface SilenceOptions {
  /** Longest silence, in ms. */
  readonly limit: number;
  /** What the signal aborts with. */
  readonly error: () => Error;
  /** When anything was last heard from the same source on another connection (clock's ms). */
  readonly elsewhere?: () => number;
  /** However much is heard, no longer than this, in ms. For small answers only. */
  readonly total?: number;
  /** Told of each `every` ms of silence on the way to the limit. */
  readonly quiet?: { readonly every: number; readonly tell: () => void };
}

/**
 * A limit on silence rather than on time: `signal` aborts once nothing has been heard for `limit` ms.
 * Slow links are the reason this program exists, so a transfer is never limited by its whole duration.
 */
export class Silence {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #clock: Clock;
  #lastHeard: number;
  #paused = false;
  #cancel: () => void = () => {};
  #cancelQuiet: () => void = () => {};

  constructor(clock: Clock, options: SilenceOptions) {
    const { limit, error, elsewhere = () => 0, total = Number.POSITIVE_INFINITY, quiet } = options;
    const started = clock.now();
    this.signal = this.#controller.signal;
    this.#clock = clock;
    this.#lastHeard = started;
    const check = () => {
      if (this.#paused) this.#lastHeard = clock.now();
      const quietUntil = Math.max(this.#lastHeard, elsewhere()) + limit;
      const left = Math.min(quietUntil, started + total) - clock.now();
      if (left <= 0) this.abort(error());
      else this.#cancel = clock.after(Math.ceil(left), check);
    };
    this.#cancel = clock.after(Math.min(limit, total), check);
    if (quiet !== undefined) this.#watch(quiet.every, quiet.tell);
  }

  heard(): void {
    this.#lastHeard = this.#clock.now();
  }

  /** While the reader is busy elsewhere, silence is not the source's fault. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.heard();
  }

  /** Whatever comes now is not wanted any more. */
  abort(reason: unknown): void {
    this.stop();
    this.#controller.abort(reason);
  }

  stop(): void {
    this.#cancel();
    this.#cancelQuiet();
  }

  #watch(every: number, tell: () => void): void {
    let from = this.#clock.now();
    const look = () => {
      if (this.#paused) this.#lastHeard = this.#clock.now();
      from = Math.max(from, this.#lastHeard);
      if (this.#clock.now() - from >= every) {
        tell();
        from = this.#clock.now();
      }
      this.#cancelQuiet = this.#clock.after(Math.ceil(from + every - this.#clock.now()), look);
    };
    this.#cancelQuiet = this.#clock.after(every, look);
  }
}
