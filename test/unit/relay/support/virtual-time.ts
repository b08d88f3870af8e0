import type { Clock } from '../../../../agent/telemetry/clock.ts';
import { decodersAreBusy } from './busy-decoders.ts';

/** How long nothing may happen in real time, with nothing left to wait for in virtual time, before it counts as a hang, in ms. */
const hangAfter = 10_000;
/** No test needs more virtual time at once than this, in ms: ten days. */
const longest = 10 * 86_400_000;
const idleTurns = 4;

/**
 * A clock that stands still while anything happens and goes on to the next timer when nothing does. Disk and decoders work in real
 * time, which is waited for.
 */
export class VirtualTime implements Clock {
  #now = 0;
  #events = 0;
  readonly #timers = new Set<{ readonly due: number; readonly call: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    this.#events += 1;
    const timer = { due: this.#now + ms, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Something happened: time stands still for a moment. */
  event(): void {
    this.#events += 1;
  }

  /** Resolves after `ms` of virtual time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Lets time pass until the work is done. Rejects with its error, and when it will never be done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const finished = () => {
      done = true;
    };
    work.then(finished, finished);
    let quietSince = performance.now();
    const until = this.#now + longest;
    while (!done) {
      const before = this.#events;
      await quiet();
      if (this.#now <= until && (this.#events !== before || this.#next())) quietSince = performance.now();
      else if (performance.now() - quietSince > hangAfter || this.#now > until)
        throw new Error('hang: nothing happens any more, and the work is not done');
    }
    return await work;
  }

  /** Calls what is due next; false when there is nothing. */
  #next(): boolean {
    let [next] = this.#timers;
    if (next === undefined) return false;
    for (const timer of this.#timers) if (timer.due < next.due) next = timer;
    this.#timers.delete(next);
    this.#now = Math.max(this.#now, next.due);
    next.call();
    return true;
  }
}

/** Resolves when neither the disk nor a decoder is at work. */
async function quiet(): Promise<void> {
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  for (let idle = 0; idle < idleTurns; ) {
    await turn();
    const files = process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
    idle = files || decodersAreBusy() ? 0 : idle + 1;
  }
}
