import { LRUCache } from 'lru-cache';
import type { HashPart, StorePath } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { KnownPath } from './known-path.ts';

export interface LookAheadOptions {
  readonly find: (hashPart: HashPart) => Promise<KnownPath | undefined>;
  /** Whether the local store has a path already, so that Nix will not ask for it. */
  readonly inStore: (path: StorePath) => Promise<boolean>;
  readonly clock?: Clock;
}

/** Over 100 ms, 1,000 paths take 4 s with 25 at once, as Nix itself asks, and a second with these. */
const maxAtOnce = 256;
const maxQueued = 8_192;
/** A path once looked ahead for is left alone for this long, in ms. */
const seenFor = 60_000;

/**
 * Nix walks closures level by level: one round trip for each level of references. Looking the references up before Nix asks for
 * them makes that one round trip for the whole closure, or nearly.
 */
export class LookAhead {
  readonly #options: LookAheadOptions;
  readonly #seen: LRUCache<HashPart, true>;
  readonly #queue: StorePath[] = [];
  #running = 0;

  constructor(options: LookAheadOptions) {
    this.#options = options;
    const perf = options.clock ?? systemClock;
    this.#seen = new LRUCache({ max: 4 * maxQueued, ttl: seenFor, ttlResolution: 0, perf });
  }

  /** Nix was told of this path: it will ask for the references next. Does nothing beyond its bounds. */
  from(known: KnownPath): void {
    this.#seen.set(known.hashPart, true);
    for (const path of known.narinfo.references) {
      if (this.#seen.has(path.hashPart) || this.#queue.length >= maxQueued) continue;
      this.#seen.set(path.hashPart, true);
      this.#queue.push(path);
    }
    while (this.#running < maxAtOnce && this.#queue.length > 0) void this.#work();
  }

  /** Forgets what was seen and queued: another network has other answers. */
  reset(): void {
    this.#queue.length = 0;
    this.#seen.clear();
  }

  async #work(): Promise<void> {
    this.#running++;
    for (let path = this.#queue.shift(); path !== undefined; path = this.#queue.shift()) {
      if (await this.#options.inStore(path)) continue;
      const known = await this.#options.find(path.hashPart);
      if (known !== undefined) this.from(known);
    }
    this.#running--;
  }
}
