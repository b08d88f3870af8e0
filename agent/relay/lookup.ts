import { LRUCache } from 'lru-cache';
import type { NarCache } from '../cache/nar-cache.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { SourceError } from '../source/error.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { KnownPath } from './known-path.ts';
import type { Trust } from './trust.ts';

export interface LookupOptions {
  readonly pool: Pick<SourcePool, 'usable'>;
  readonly trust: Pick<Trust, 'judge'>;
  readonly log: Logger;
  readonly cache?: NarCache | undefined;
  readonly clock?: Clock;
}

/** About 2 KiB each. */
const maxKnown = 10_000;
/** How long it is believed that a source still has a path, in ms. */
const believedFor = 3_600_000;
/** A source gets at most this much of a head start, in ms, before the next is asked as well. */
const maxHeadStart = 150;

/** Who has a path, and is it true? Memory, then disk, then the LAN, then the upstreams; the first valid answer wins. */
export class Lookup {
  readonly #options: LookupOptions;
  readonly #clock: Clock;
  readonly #known = new LRUCache<HashPart, KnownPath>({ max: maxKnown });
  readonly #flights = new Map<HashPart, Promise<KnownPath | undefined>>();

  constructor(options: LookupOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** What memory has and may be answered at once. */
  remembered(hashPart: HashPart): KnownPath | undefined {
    const known = this.#known.get(hashPart);
    if (known === undefined || !known.obtainable) return undefined;
    return known.stored || this.#clock.now() - known.askedAt < believedFor ? known : undefined;
  }

  /** Finds a path; undefined when nobody reachable has it. Never rejects: whatever fails is 'not here' (I1). One flight per path. */
  async find(hashPart: HashPart): Promise<KnownPath | undefined> {
    const remembered = this.remembered(hashPart);
    if (remembered !== undefined) return remembered;
    const running = this.#flights.get(hashPart);
    if (running !== undefined) return await running;
    const flight = this.#search(hashPart).finally(() => this.#flights.delete(hashPart));
    this.#flights.set(hashPart, flight);
    return await flight;
  }

  /** Asks every usable source that has not been asked yet whether it has the same NAR, for a transfer that runs out of sources. */
  async widen(known: KnownPath): Promise<void> {
    const offered = new Set(known.offers.map(({ source }) => source.id));
    const others = this.#options.pool.usable().filter((source) => !offered.has(source.id));
    await Promise.all(
      others.map(async (source) => {
        const narinfo = await this.#ask(source, known.hashPart, new AbortController().signal);
        if (narinfo !== undefined) known.offer({ source, narinfo }, this.#clock.now());
      }),
    );
  }

  async #search(hashPart: HashPart): Promise<KnownPath | undefined> {
    const stored = await this.#onDisk(hashPart);
    const found = stored ?? (await this.#race(hashPart));
    if (found !== undefined) this.#known.set(hashPart, found);
    return found;
  }

  async #onDisk(hashPart: HashPart): Promise<KnownPath | undefined> {
    const narinfo = await this.#options.cache?.narinfo(hashPart);
    if (narinfo === undefined) return undefined;
    const trusted = this.#options.trust.judge(narinfo);
    return trusted && new KnownPath(trusted, this.#clock.now(), true);
  }

  /** Asks the near sources together, then each upstream after a head start of the ones before, until one answer is valid. */
  #race(hashPart: HashPart): Promise<KnownPath | undefined> {
    const { promise, resolve } = Promise.withResolvers<KnownPath | undefined>();
    const groups = inGroups(this.#options.pool.usable().filter((source) => !source.lacks(hashPart)));
    const over = new AbortController();
    const untrusted: { source: MonitoredSource; narinfo: Narinfo }[] = [];
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
        void this.#ask(source, hashPart, signal).then((narinfo) => answered(source, narinfo));
      }
      if (next < groups.length) cancelHeadStart = this.#clock.after(headStart(group), start);
    };

    const answered = (source: MonitoredSource, narinfo: Narinfo | undefined) => {
      open--;
      if (winner !== undefined) {
        if (narinfo !== undefined) winner.offer({ source, narinfo }, this.#clock.now());
        return;
      }
      if (narinfo !== undefined) winner = this.#judge(source, narinfo);
      if (winner !== undefined) {
        for (const offer of untrusted) winner.offer(offer, this.#clock.now());
        cancelHeadStart();
        over.abort();
        resolve(winner);
        return;
      }
      if (narinfo !== undefined) untrusted.push({ source, narinfo });
      if (open === 0) start();
    };

    start();
    return promise;
  }

  #judge(source: MonitoredSource, narinfo: Narinfo): KnownPath | undefined {
    const { hashPart, base } = narinfo.storePath;
    const before = this.#known.peek(hashPart);
    const now = this.#clock.now();
    if (before?.hasWithdrawn(source, now)) return undefined;
    if (before?.offer({ source, narinfo }, now)) {
      before.askedAt = now;
      return before;
    }
    const trusted = this.#options.trust.judge(narinfo);
    if (trusted === undefined) {
      this.#options.log.debug(
        { source: source.id, path: base },
        'narinfo has no valid signature by a trusted key',
      );
      return undefined;
    }
    const known = new KnownPath(trusted, now);
    known.offer({ source, narinfo }, now);
    return known;
  }

  async #ask(source: MonitoredSource, hashPart: HashPart, signal: AbortSignal): Promise<Narinfo | undefined> {
    try {
      return await source.narinfo(hashPart, signal);
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
