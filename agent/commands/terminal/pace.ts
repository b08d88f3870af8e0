import type { Clock } from '../../telemetry/clock.ts';

/** How far back the present pace is measured, in ms. */
const span = 10_000;
const step = 500;

/** How fast something goes now: what was done in the last ten seconds. */
export class Pace {
  readonly #clock: Clock;
  /** What was done by when, at most one for each half second. */
  #marks: { readonly at: number; readonly done: number }[] = [];
  #done = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** So much more is done. */
  add(amount: number): void {
    const at = this.#clock.now();
    const last = this.#marks.at(-1);
    if (last === undefined || at - last.at >= step) {
      this.#marks.push({ at, done: this.#done });
      this.#marks = this.#marks.filter((mark) => at - mark.at <= span);
    }
    this.#done += amount;
  }

  /** Per second; 0 before anything was done. */
  get perSecond(): number {
    const now = this.#clock.now();
    const first = this.#marks.find((mark) => now - mark.at <= span);
    if (first === undefined) return 0;
    return Math.max(0, ((this.#done - first.done) * 1000) / Math.max(now - first.at, step));
  }

  /** Ms until that much more is done; undefined when nothing moves. */
  timeFor(amount: number): number | undefined {
    const { perSecond } = this;
    return perSecond === 0 ? undefined : (amount / perSecond) * 1000;
  }
}
