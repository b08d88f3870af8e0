import { type Clock, systemClock } from '../telemetry/clock.ts';

/** Bytes that wait for their turn. */
interface Turn {
  readonly bytes: number;
  readonly gone: AbortSignal;
  readonly take: () => void;
}

/** Bytes that pass at once: so few that at a low rate many transfers all move every few seconds. */
const slice = 16 * 1024;
/** How much may pass at once after a rest, in ms of the rate. */
const burst = 1_000;

/** A rate that clients share: all that want something now get the same, however many transfers each of them runs. */
export class Throttle {
  readonly #rate: number;
  readonly #clock: Clock;
  /** What each client waits for; who was served last comes last. */
  readonly #waiting = new Map<string, Turn[]>();
  /** When all that has passed so far is paid for, in the clock's ms. */
  #paidAt = Number.NEGATIVE_INFINITY;
  #sleeping = false;

  /** `rate` in bytes a second; 0 is no limit. */
  constructor(rate: number, clock: Clock = systemClock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Passes the chunks on to a client no faster than its share; ends early when it is gone. */
  async *pace(
    client: string,
    chunks: AsyncIterable<Uint8Array>,
    gone: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    if (this.#rate === 0) return yield* chunks;
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += slice) {
        const part = chunk.subarray(at, at + slice);
        await this.#turn(client, part.length, gone);
        if (gone.aborted) return;
        yield part;
      }
    }
  }

  #turn(client: string, bytes: number, gone: AbortSignal): Promise<void> {
    const { promise, resolve: take } = Promise.withResolvers<void>();
    const turns = this.#waiting.get(client) ?? [];
    this.#waiting.set(client, [...turns, { bytes, gone, take }]);
    if (!this.#sleeping) this.#serve();
    return promise;
  }

  #serve(): void {
    const now = this.#clock.now();
    this.#paidAt = Math.max(this.#paidAt, now - burst);
    while (this.#paidAt <= now) {
      const turn = this.#next();
      if (turn === undefined) break;
      if (!turn.gone.aborted) this.#paidAt += (turn.bytes * 1_000) / this.#rate;
      turn.take();
    }
    this.#sleeping = this.#waiting.size > 0;
    if (this.#sleeping) this.#clock.after(this.#paidAt - now, () => this.#serve());
  }

  /** The next client's first turn. */
  #next(): Turn | undefined {
    for (const [client, [turn, ...later]] of this.#waiting) {
      this.#waiting.delete(client);
      if (later.length > 0) this.#waiting.set(client, later);
      return turn;
    }
    return undefined;
  }
}
