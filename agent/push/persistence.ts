import { type Clock, delay } from '../telemetry/clock.ts';
import { mayPass, type PushError } from './error.ts';

const firstWait = 250;
const longestWait = 30_000;
/** With the waits above some two minutes: a server that restarts is back by then. */
const triesWithoutProgress = 10;

/** Trying again, for as long as something moves: the waits grow, and after ten tries without progress the last error counts. */
export class Persistence {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #worthwhile: (error: PushError) => boolean;
  #failures = 0;

  /** @param worthwhile which of the errors that may pass are waited for; all when left out */
  constructor(clock: Clock, signal: AbortSignal, worthwhile: (error: PushError) => boolean = () => true) {
    this.#clock = clock;
    this.#signal = signal;
    this.#worthwhile = worthwhile;
  }

  /** Something has moved. */
  progressed(): void {
    this.#failures = 0;
  }

  /** Waits before another try; throws the error when it will not pass, or too many tries were in vain. */
  async after(error: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    this.#failures += 1;
    if (!mayPass(error) || !this.#worthwhile(error) || this.#failures >= triesWithoutProgress) throw error;
    const wait = Math.min(firstWait * 2 ** (this.#failures - 1), longestWait);
    await delay(this.#clock, Math.max(wait, Math.min(error.retryAfter, longestWait)), this.#signal);
  }

  /** What `work` gives, at last. */
  async of<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        await this.after(error);
      }
    }
  }
}
