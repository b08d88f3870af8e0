import { type Clock, delay, systemClock } from '../telemetry/clock.ts';

/** A rate that all who pass through share, with a burst of one second's worth. */
export class Throttle {
  readonly #rate: number;
  readonly #clock: Clock;
  /** When all that has passed so far is paid for, in the clock's ms. */
  #paidAt = 0;

  /** `rate` in bytes a second; 0 is no limit. */
  constructor(rate: number, clock: Clock = systemClock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Passes the chunks on no faster than the rate allows. */
  async *pace(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    if (this.#rate === 0) return yield* chunks;
    const burst = 1_000;
    for await (const chunk of chunks) {
      const now = this.#clock.now();
      this.#paidAt = Math.max(this.#paidAt, now - burst) + (chunk.length * 1_000) / this.#rate;
      if (this.#paidAt > now) await delay(this.#clock, this.#paidAt - now);
      yield chunk;
    }
  }
}
