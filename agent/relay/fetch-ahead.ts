import { LRUCache } from 'lru-cache';
import type { HashPart, StorePath } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { KnownPath } from './known-path.ts';

export interface FetchAheadOptions {
  /** Has a NAR come to this machine; resolves when it has, or does not. Never rejects. */
  readonly fetch: (known: KnownPath) => Promise<void>;
  /** How many NARs are on their way now, for whomever. */
  readonly running: () => number;
  /** Whether the local store has a path already, so that Nix will not ask for it. */
  readonly inStore: (path: StorePath) => Promise<boolean>;
  readonly clock?: Clock;
}

/** What Nix was told of a path, or will be. */
interface Told {
  /** Undefined while only those that refer to it are known. */
  known: KnownPath | undefined;
  /** Its NAR was asked for, by Nix or ahead of it. */
  begun: boolean;
  readonly referrers: Set<HashPart>;
}

/** A link carries so many NARs well; while Nix has that many under way, nothing is fetched ahead. */
const enoughAtOnce = 16;
const maxTold = 8_192;
/** Of a path that many others refer to. */
const maxReferrers = 64;
/** What Nix was told of longer ago than this, in ms, it may want no more. */
const toldFor = 120_000;

/**
 * Nix asks for a NAR when all that it refers to is in its store, level by level: at each level the link lies idle for a round trip and
 * for what Nix does in between. So while few NARs are on their way, those come that Nix will ask for next: it has had their narinfos,
 * and it has asked for the NARs of all that they refer to. Nothing is fetched for Nix that only looks around.
 */
export class FetchAhead {
  readonly #options: FetchAheadOptions;
  readonly #told: LRUCache<HashPart, Told>;
  /** Paths of which something that they refer to was begun lately. */
  readonly #candidates = new Set<HashPart>();
  #filling = false;

  constructor(options: FetchAheadOptions) {
    this.#options = options;
    const perf = options.clock ?? systemClock;
    this.#told = new LRUCache({ max: maxTold, ttl: toldFor, ttlResolution: 0, perf });
  }

  /** Nix was told that a path can be had. */
  told(known: KnownPath): void {
    const entry = this.#entry(known.hashPart);
    entry.known = known;
    for (const { hashPart } of known.narinfo.references) {
      if (hashPart === known.hashPart) continue;
      const { referrers } = this.#entry(hashPart);
      if (referrers.size < maxReferrers) referrers.add(known.hashPart);
    }
  }

  /** Nix asks for the NAR of a path. */
  asked({ hashPart }: KnownPath): void {
    this.#begin(this.#entry(hashPart));
    void this.#fill();
  }

  /** Forgets everything: on another network other sources have other NARs. */
  reset(): void {
    this.#told.clear();
    this.#candidates.clear();
  }

  #entry(hashPart: HashPart): Told {
    const entry = this.#told.get(hashPart) ?? { known: undefined, begun: false, referrers: new Set() };
    this.#told.set(hashPart, entry);
    return entry;
  }

  #begin(entry: Told): void {
    entry.begun = true;
    for (const referrer of entry.referrers)
      if (this.#candidates.size < maxTold) this.#candidates.add(referrer);
  }

  async #fill(): Promise<void> {
    if (this.#filling) return;
    this.#filling = true;
    for (const hashPart of this.#candidates) {
      if (this.#options.running() >= enoughAtOnce) break;
      this.#candidates.delete(hashPart);
      const entry = this.#told.get(hashPart);
      if (entry?.known === undefined || entry.begun || !isFar(entry.known)) continue;
      if (!(await this.#isNext(entry.known)) || entry.begun) continue;
      this.#begin(entry);
      void this.#options.fetch(entry.known).then(() => this.#fill());
    }
    this.#filling = false;
  }

  /** Whether all that a path refers to has been begun or is in the local store. */
  async #isNext({ hashPart, narinfo }: KnownPath): Promise<boolean> {
    for (const path of narinfo.references) {
      if (path.hashPart === hashPart || this.#told.get(path.hashPart)?.begun) continue;
      if (!(await this.#options.inStore(path))) return false;
    }
    return true;
  }
}

/** Whether it pays to have a NAR come before it is asked for: a cache nearby gives it at once. */
function isFar({ stored, offers }: KnownPath): boolean {
  const usable = offers.filter(({ source }) => source.usable);
  return (
    stored === undefined &&
    usable.length > 0 &&
    usable.every(({ source }) => source.source.reach === 'upstream')
  );
}
