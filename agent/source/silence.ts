import type { Clock } from '../telemetry/clock.ts';

export interface SilenceOptions {
  /** Longest silence, in ms. */
  readonly limit: number;
  /** What the signal aborts with after `ms` of silence. */
  readonly error: (ms: number) => Error;
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
  readonly #options: SilenceOptions;
  readonly #started: number;
  #lastHeard: number;
  #shortened: { readonly since: number; readonly least: number } | undefined;
  #paused = false;
  #cancel: () => void = () => {};
  #cancelQuiet: () => void = () => {};

  constructor(clock: Clock, options: SilenceOptions) {
    const { limit, total = limit, quiet } = options;
    this.signal = this.#controller.signal;
    this.#clock = clock;
    this.#options = options;
    this.#started = clock.now();
    this.#lastHeard = this.#started;
    this.#cancel = clock.after(Math.min(limit, total), () => this.#check());
    if (quiet !== undefined) this.#watch(quiet.every, quiet.tell);
  }

  /** From now on the limit is as long as something has been heard since, in ms, and `least` at least. */
  shorten(least: number): void {
    this.heard();
    this.#shortened = { since: this.#lastHeard, least };
    this.#cancel();
    this.#check();
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

  #check(): void {
    const { error, elsewhere = () => 0, total = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#paused) this.heard();
    const limit = this.#limit;
    const quietUntil = Math.max(this.#lastHeard, elsewhere()) + limit;
    const left = Math.min(quietUntil, this.#started + total) - this.#clock.now();
    if (left <= 0) this.abort(error(limit));
    else this.#cancel = this.#clock.after(Math.ceil(left), () => this.#check());
  }

  get #limit(): number {
    const { limit } = this.#options;
    if (this.#shortened === undefined) return limit;
    const { since, least } = this.#shortened;
    return Math.min(limit, Math.max(least, this.#lastHeard - since));
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
