import { LRUCache } from 'lru-cache';
import type { NarCache } from '../cache/nar-cache.ts';
import { isDecodable } from '../nix/compression.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { SourceError } from '../source/error.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { KnownPath, type Offer } from './known-path.ts';
import type { Trust } from './trust.ts';

export interface LookupOptions {
  readonly pool: Pick<SourcePool, 'usable'>;
  readonly trust: Pick<Trust, 'judge'>;
  readonly log: Logger;
  readonly cache?: NarCache | undefined;
  readonly clock?: Clock;
}

const maxKnown = 10_000;
/** Most paths take some 5 KiB, but who sends narinfos can make it a hundred times that. */
const maxKnownBytes = 64 * 1024 * 1024;
/** A source gets at most this much of a head start, in ms, before the next is asked as well. */
const maxHeadStart = 150;

/** Who has a path, and is it true? Memory, then disk, then the LAN, then the upstreams; the first valid answer wins. */
export class Lookup {
  readonly #options: LookupOptions;
  readonly #clock: Clock;
  readonly #known = new LRUCache<HashPart, KnownPath>({
    max: maxKnown,
    maxSize: maxKnownBytes,
    sizeCalculation: ({ memory }) => memory,
  });
  readonly #flights = new Map<string, Promise<KnownPath | undefined>>();

  constructor(options: LookupOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** What memory has and may be answered at once. */
  remembered(hashPart: HashPart): KnownPath | undefined {
    const known = this.#known.get(hashPart);
    return known?.obtainable(this.#clock.now()) ? known : undefined;
  }

  /**
   * Finds a path; undefined when nobody reachable has it. Never rejects: whatever fails is 'not here' (I1). One flight per path. A question
   * of another agent comes with its `Via` header and has a flight of its own, which sources are told of: two agents that ask each
   * other would wait for each other in one (I10).
   */
  async find(hashPart: HashPart, via?: string): Promise<KnownPath | undefined> {
    const remembered = this.remembered(hashPart);
    if (remembered !== undefined) return remembered;
    const key = via === undefined ? hashPart : `${hashPart} ${via}`;
    const running = this.#flights.get(key);
    if (running !== undefined) return await running;
    const flight = this.#search(hashPart, via).finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return await flight;
  }

  /** Asks every usable source that has not been asked yet whether it has the same NAR, for a transfer that runs out of sources. */
  async widen(known: KnownPath): Promise<void> {
    // A peer that went away and came back is another source with the same name.
    const offered = new Set(known.offers.map(({ source }) => source));
    const others = this.#options.pool.usable().filter((source) => !offered.has(source));
    const never = new AbortController().signal;
    await Promise.all(
      others.map(async (source) => {
        const narinfo = await this.#ask(source, known.hashPart, never);
        if (narinfo !== undefined) this.#addOffer(known, { source, narinfo });
      }),
    );
  }

  async #search(hashPart: HashPart, via: string | undefined): Promise<KnownPath | undefined> {
    return (await this.#onDisk(hashPart)) ?? (await this.#race(hashPart, via));
  }

  async #onDisk(hashPart: HashPart): Promise<KnownPath | undefined> {
    const before = this.#known.peek(hashPart);
    const wasStored = before?.stored === true;
    const narinfo = await this.#options.cache?.narinfo(hashPart);
    const now = this.#clock.now();
    if (narinfo === undefined || !isDecodable(narinfo.compression)) {
      if (wasStored) before.seen(false, now);
      return undefined;
    }
    if (before?.isSame(narinfo)) {
      before.seen(true, now);
      return before;
    }
    const trusted = this.#options.trust.judge(narinfo, true);
    return trusted && this.#remember(new KnownPath(trusted, now, true));
  }

  /** Asks the near sources together, then each upstream after a head start of the ones before, until one answer is valid. */
  #race(hashPart: HashPart, via: string | undefined): Promise<KnownPath | undefined> {
    const { promise, resolve } = Promise.withResolvers<KnownPath | undefined>();
    const groups = inGroups(this.#options.pool.usable().filter((source) => !source.lacks(hashPart)));
    const over = new AbortController();
    const untrusted: Offer[] = [];
    let winner: KnownPath | undefined;
    let open = 0;
    let next = 0;
    let cancelHeadStart = () => {};

    const start = () => {
      cancelHeadStart();
      const group = groups[next++];
      if (group === undefined) {
        if (open === 0) resolve(winner);
        return;
      }
      open += group.length;
      for (const source of group) {
        // Near sources may finish after the race: a second place to take the bytes from.
        const signal = source.source.reach === 'upstream' ? over.signal : new AbortController().signal;
        void this.#ask(source, hashPart, signal, via).then((narinfo) =>
          answered(narinfo && { source, narinfo }),
        );
      }
      if (next < groups.length) cancelHeadStart = this.#clock.after(headStart(group), start);
    };

    const answered = (offer: Offer | undefined) => {
      open--;
      if (winner !== undefined) {
        if (offer !== undefined) this.#addOffer(winner, offer);
        return;
      }
      if (offer !== undefined) winner = this.#judge(offer);
      if (winner !== undefined) {
        for (const late of untrusted) this.#addOffer(winner, late);
        cancelHeadStart();
        over.abort();
        resolve(winner);
        return;
      }
      if (offer !== undefined) untrusted.push(offer);
      if (open === 0) start();
    };

    start();
    return promise;
  }

  /** The path that an answer makes known, or that was known before and is confirmed by it. */
  #judge(offer: Offer): KnownPath | undefined {
    const { source, narinfo } = offer;
    const { hashPart, base } = narinfo.storePath;
    const before = this.#known.peek(hashPart);
    if (before?.hasWithdrawn(source, this.#clock.now())) return undefined;
    if (before !== undefined && this.#addOffer(before, offer)) return before;
    const trusted = this.#options.trust.judge(narinfo, source.source.configured);
    if (trusted === undefined) {
      this.#options.log.debug({ source: source.id, path: base }, 'narinfo is not to be trusted');
      return undefined;
    }
    const known = new KnownPath(trusted, this.#clock.now());
    known.offer(offer, this.#clock.now());
    return this.#remember(known);
  }

  #addOffer(known: KnownPath, offer: Offer): boolean {
    const added = known.offer(offer, this.#clock.now());
    if (added && this.#known.peek(known.hashPart) === known) this.#remember(known);
    return added;
  }

  /** Puts the path in memory, or weighs it anew there. */
  #remember(known: KnownPath): KnownPath {
    this.#known.delete(known.hashPart);
    this.#known.set(known.hashPart, known);
    return known;
  }

  async #ask(
    source: MonitoredSource,
    hashPart: HashPart,
    signal: AbortSignal,
    via?: string,
  ): Promise<Narinfo | undefined> {
    try {
      const narinfo = await source.narinfo(hashPart, signal, via);
      // What only Nix can decode nobody can verify before Nix has it (DESIGN 5.4).
      const verifiable = narinfo === undefined || isDecodable(narinfo.compression);
      return verifiable || source.source.configured ? narinfo : undefined;
    } catch (error) {
      if (error instanceof SourceError)
        this.#options.log.debug({ err: error, source: source.id, hashPart }, 'lookup failed');
      else if (!signal.aborted)
        this.#options.log.error({ err: error, source: source.id, hashPart }, 'lookup failed');
      return undefined;
    }
  }
}

/** The near sources together, each upstream by itself, in order. */
function inGroups(sources: readonly MonitoredSource[]): MonitoredSource[][] {
  const near = sources.filter(({ source }) => source.reach !== 'upstream');
  const far = sources.filter(({ source }) => source.reach === 'upstream');
  return [...(near.length > 0 ? [near] : []), ...far.map((source) => [source])];
}

function headStart(group: readonly MonitoredSource[]): number {
  const usual = Math.max(...group.map(({ latency }) => latency.value ?? maxHeadStart));
  return Math.min(2 * usual, maxHeadStart);
}
