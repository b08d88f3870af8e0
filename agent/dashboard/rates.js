/** @import { Counts } from '../telemetry/counts-schema.ts' */

/** What is shown of the counters. */
const shown = /** @type {const} */ (['fromUpstream', 'fromLan', 'fromDisk']);
/** Seconds that are kept, and between two looks: counters come once a second, so that shorter ones would flicker. */
export const kept = 300;
export const every = 2;

/**
 * How fast bytes came from upstreams, the LAN and the disk in the last minutes. Times are in seconds since the epoch.
 */
export class Rates {
  /** @type {number[]} */
  times = [];
  /** @type {[upstream: number[], lan: number[], disk: number[]]} */
  series = [[], [], []];
  /** @type {{ at: number, bytes: Counts['bytes'] } | undefined} */
  #last;

  /**
   * The counters are such at this time.
   * @param {number} at
   * @param {Counts['bytes']} bytes
   */
  add(at, bytes) {
    const last = this.#last;
    this.#last = { at, bytes };
    if (last === undefined || at <= last.at) return;
    this.times.push(at);
    for (const [index, key] of shown.entries()) {
      // Counters that fell are those of an agent that has started anew.
      const rate = Math.max(0, bytes[key] - last.bytes[key]) / (at - last.at);
      this.series[index]?.push(rate);
    }
    if (this.times.length <= kept / every) return;
    for (const list of [this.times, ...this.series]) list.shift();
  }
}
