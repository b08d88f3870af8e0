import { randomInt } from 'node:crypto';

/** Numbers that look random and are the same again for the same seed. */
export class Random {
  readonly seed: number;
  #state: number;

  /** The seed is that of $NARROWCAST_SEED, else a new one; it is printed, so that a failure can be had again. */
  static seeded(label: string): Random {
    const given = process.env['NARROWCAST_SEED'];
    const random = new Random(given === undefined ? randomInt(2 ** 31) : Number(given));
    process.stderr.write(`${label}: NARROWCAST_SEED=${random.seed}\n`);
    return random;
  }

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** A number from 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** One of them. */
  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0];
  }
}
