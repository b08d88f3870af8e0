import type { Clock } from '../telemetry/clock.ts';

/** A stretch of a transfer. */
export interface Sample {
  readonly bytes: number;
  /** How long it took, in ms. */
  readonly elapsed: number;
  /** How much of that the source was waited for; the rest is our own doing. */
  readonly waited: number;
}

const stretch = 1_000;
const enough = 65_536;

/** Measures how quickly bytes come, a second at a time. */
export class Pace {
  readonly #clock: Clock;
  #since: number;
  #bytes = 0;
  #waited = 0;
  #last: Sample | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** Passes bytes on and times them. */
  async *timed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let asked = this.#clock.now();
    for await (const chunk of chunks) {
      this.#waited += this.#clock.now() - asked;
      this.#bytes += chunk.length;
      yield chunk;
      asked = this.#clock.now();
    }
  }

  /** What came since the last sample; undefined within the same second. */
  sample(): Sample | undefined {
    if (this.#clock.now() - this.#since < stretch) return undefined;
    const sample = this.#take();
    this.#last = sample;
    this.#since = this.#clock.now();
    this.#bytes = 0;
    this.#waited = 0;
    return sample;
  }

  /** All that came, when it was over within the first second and enough to tell. */
  whole(): Sample | undefined {
    return this.#last !== undefined || this.#bytes < enough ? undefined : this.#take();
  }

  /** Bytes a second in the last whole stretch, or so far within the first; less while nothing comes. */
  get rate(): number {
    const now = this.#take();
    const { bytes, elapsed } = this.#last === undefined || now.elapsed > 2 * stretch ? now : this.#last;
    return (bytes * 1_000) / elapsed;
  }

  #take(): Sample {
    const elapsed = Math.max(1, this.#clock.now() - this.#since);
    return { bytes: this.#bytes, elapsed, waited: this.#waited };
  }
}
