import type { MonitoredSource } from '../source/monitored-source.ts';
import type { Clock } from '../telemetry/clock.ts';

interface Standing {
  /** NARs that it gave alone and that held. */
  verified: number;
  wrong: boolean;
  /** It gave so slowly that it was left. */
  slow: boolean;
  /** Transfers that read from it now. */
  readings: number;
  /** When bytes last came from it (clock's ms). */
  heardAt: number;
}

const verifiedUntilTrusted = 20;

/**
 * What this agent has seen of each source's conduct. A source that goes away and comes back begins anew: on another network
 * another machine may have its address.
 */
export class Standings {
  readonly #clock: Clock;
  readonly #standings = new WeakMap<MonitoredSource, Standing>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether its bytes may reach clients before the whole NAR is verified: the operator named it, or it has proven itself (DESIGN 5.4). */
  trusts(source: MonitoredSource | undefined): boolean {
    if (source === undefined) return false;
    if (source.source.configured) return true;
    const { verified, wrong } = this.#of(source);
    return verified >= verifiedUntilTrusted && !wrong;
  }

  /** It gave a whole NAR, and that held. */
  verified(source: MonitoredSource): void {
    this.#of(source).verified += 1;
  }

  /** It gave a wrong NAR. */
  wrong(source: MonitoredSource): void {
    this.#of(source).wrong = true;
  }

  /** It gave so slowly, before it had proven itself, that it was left. */
  slow(source: MonitoredSource): void {
    this.#of(source).slow = true;
  }

  /** Whether it has wasted time enough: others come first, in every transfer. */
  shuns(source: MonitoredSource): boolean {
    const { wrong, slow } = this.#of(source);
    return !this.trusts(source) && (wrong || slow);
  }

  /** How many transfers read from it now. */
  readings(source: MonitoredSource): number {
    return this.#of(source).readings;
  }

  /** How long ago bytes last came from it, in any transfer, in ms. */
  silence(source: MonitoredSource): number {
    return this.#clock.now() - this.#of(source).heardAt;
  }

  /** Passes a body of the source on, and notes that it is being read; `heard` is called with each chunk. */
  async *observed(
    source: MonitoredSource,
    chunks: AsyncIterable<Uint8Array>,
    heard: () => void,
  ): AsyncGenerator<Uint8Array> {
    const standing = this.#of(source);
    standing.readings += 1;
    try {
      for await (const chunk of chunks) {
        standing.heardAt = this.#clock.now();
        heard();
        yield chunk;
      }
    } finally {
      standing.readings -= 1;
    }
  }

  #of(source: MonitoredSource): Standing {
    const known = this.#standings.get(source);
    if (known !== undefined) return known;
    const fresh = { verified: 0, wrong: false, slow: false, readings: 0, heardAt: Number.NEGATIVE_INFINITY };
    this.#standings.set(source, fresh);
    return fresh;
  }
}
