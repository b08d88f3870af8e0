import { LRUCache } from 'lru-cache';
import type { NarCache } from '../cache/nar-cache.ts';
import { isDecodable } from '../nix/compression.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { SourceError } from '../source/error.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import { Counters, disk, type Giver } from '../telemetry/counters.ts';
import type { Logger } from '../telemetry/log.ts';
import { Answers, giverOf } from './answers.ts';
import { KnownPath, type Offer } from './known-path.ts';
import type { Trust } from './trust.ts';

export interface LookupOptions {
  readonly pool: Pick<SourcePool, 'usable'>;
  readonly trust: Pick<Trust, 'judge'>;
  readonly log: Logger;
  readonly cache?: NarCache | undefined;
  readonly counters?: Counters | undefined;
  readonly clock?: Clock;
}

/** What a lookup has found. */
export interface Found {
  /** Undefined when nobody reachable has it. */
  readonly known: KnownPath | undefined;
  /** Whose answer made it known. */
  readonly giver: Giver | undefined;
  /** Why an answer was not believed, where there was none better. */
  readonly rejection?: string | undefined;
}

/** What is remembered. */
export const memory: Giver = { id: 'memory', origin: 'memory' };
const unsigned = 'no trusted key has signed it, and no content address vouches for it';
/** One for all: to make an error each time costs more than it tells. */
const answeredElsewhere = new Error('another source has answered');
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
  readonly #flights = new Map<string, Promise<Found>>();
  readonly #answers: Answers;

  constructor(options: LookupOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#answers = new Answers(options.counters ?? new Counters());
  }

  /** What memory has and may be answered at once. */
  remembered(hashPart: HashPart): KnownPath | undefined {
    const known = this.#known.get(hashPart);
    return known?.obtainable(this.#clock.now()) ? known : undefined;
  }

  /** What memory has, obtainable or not. */
  peek(hashPart: HashPart): KnownPath | undefined {
    return this.#known.peek(hashPart);
  }

  /**
   * Finds a path; undefined when nobody reachable has it. Never rejects: whatever fails is 'not here' (I1). One flight per path. A question
   * of another agent comes with its `Via` header and has a flight of its own, which sources are told of: two agents that ask each
   * other would wait for each other in one (I10).
   */
  async find(hashPart: HashPart, via?: string): Promise<KnownPath | undefined> {
    return (await this.search(hashPart, via)).known;
  }

  /** Like `find`, and tells where it was found. */
  async search(hashPart: HashPart, via?: string): Promise<Found> {
    const remembered = this.remembered(hashPart);
    if (remembered !== undefined) return { known: remembered, giver: memory };
    const key = via === undefined ? hashPart : `${hashPart} ${via}`;
    const running = this.#flights.get(key);
    if (running !== undefined) return await running;
    const flight = this.#seek(hashPart, via).finally(() => this.#flights.delete(key));
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
        if (narinfo !== undefined) this.#joins(known, { source, narinfo });
      }),
    );
  }

  async #seek(hashPart: HashPart, via: string | undefined): Promise<Found> {
    const known = await this.#onDisk(hashPart);
    return known === undefined ? await this.#race(hashPart, via) : { known, giver: disk };
  }

  async #onDisk(hashPart: HashPart): Promise<KnownPath | undefined> {
    const before = this.#known.peek(hashPart);
    const wasStored = before?.stored !== undefined;
    const narinfo = await this.#options.cache?.narinfo(hashPart);
    const now = this.#clock.now();
    if (narinfo === undefined || !isDecodable(narinfo.compression)) {
      if (wasStored) before.seen(undefined, now);
      return undefined;
    }
    if (before?.isSame(narinfo)) {
      before.seen(narinfo, now);
      return before;
    }
    const trusted = this.#options.trust.judge(narinfo, true);
    return trusted && this.#remember(new KnownPath(trusted, now, narinfo));
  }

  /** Asks the near sources together, then each upstream after a head start of the ones before, until one answer is valid. */
  #race(hashPart: HashPart, via: string | undefined): Promise<Found> {
    const { promise, resolve } = Promise.withResolvers<Found>();
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
        if (open > 0) return;
        for (const offer of untrusted) this.#answers.rejected(offer, unsigned);
        const rejection = untrusted.length > 0 ? unsigned : undefined;
        resolve({ known: undefined, giver: undefined, rejection });
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
        if (offer !== undefined) this.#joins(winner, offer);
        return;
      }
      if (offer !== undefined) winner = this.#judge(offer);
      if (offer !== undefined && winner !== undefined) {
        this.#answers.found(offer.source);
        for (const early of untrusted) this.#joins(winner, early);
        cancelHeadStart();
        over.abort(answeredElsewhere);
        resolve({ known: winner, giver: giverOf(offer.source) });
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

  /** A further source that may have the same NAR. */
  #joins(known: KnownPath, offer: Offer): void {
    const { source, narinfo } = offer;
    const counts = this.#addOffer(known, offer) || known.isSame(narinfo);
    if (counts || this.#options.trust.judge(narinfo, source.source.configured)) this.#answers.found(source);
    else this.#answers.rejected(offer, 'it names another NAR than the narinfo that is trusted');
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
    if (source.lacks(hashPart)) return undefined;
    this.#answers.asked(source);
    try {
      const narinfo = await source.narinfo(hashPart, signal, via);
      if (narinfo === undefined) this.#answers.absent(source);
      // What only Nix can decode nobody can verify before Nix has it (DESIGN 5.4).
      const verifiable = narinfo === undefined || isDecodable(narinfo.compression);
      if (verifiable || source.source.configured) return narinfo;
      this.#answers.failed(source, hashPart, undefined);
      return undefined;
    } catch (error) {
      if (!signal.aborted) this.#answers.failed(source, hashPart, error);
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
