import { LRUCache } from 'lru-cache';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { type Clock, delay, systemClock } from '../telemetry/clock.ts';
import { Histogram } from '../telemetry/histogram.ts';
import type { Logger } from '../telemetry/log.ts';
import { MovingAverage } from './average.ts';
import { SourceError } from './error.ts';
import type { NarAsking, Source, SourceBody } from './source.ts';

/** `unknown` is tried like `up`; `down` and `captive` are left alone until a probe in the background succeeds. */
export type Health = 'unknown' | 'up' | 'down' | 'captive';

export interface MonitorOptions {
  readonly storeDir: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Whether the machine has any network. */
  readonly online: () => boolean;
  /** Called after each change of health. */
  readonly changed?: (source: MonitoredSource) => void;
}

/** How long a source's 'not here' is believed, in ms, unless the network changes. */
const absentFor = 60_000;
const maxAbsent = 16_384;
const maxTries = 5;
const firstPause = 100;
/** One path that fails again and again is that path's trouble; so many different ones, and nothing else, are the source's. */
const failingUntilDown = 3;
const firstBackOff = 1_000;
const maxBackOff = 60_000;
const maxRetryAfter = 300_000;
/** A source that asks for more patience than this, in ms, is left alone rather than waited for. */
const shortRetryAfter = 2_000;
const defaultPriority = 50;

/**
 * A source with what is known of it: its health, how fast it is, what it does not have. Retries what is worth it, marks the source
 * down on evidence, aborts what still waits for it then, and probes it with growing pauses until it is back.
 */
export class MonitoredSource {
  readonly source: Source;
  /** Time to an answer in ms. */
  readonly latency = new MovingAverage();
  /** The same, each since the start. */
  readonly answers = new Histogram();
  /** Bytes a second within a NAR's body. */
  readonly throughput = new MovingAverage();
  readonly #options: MonitorOptions;
  readonly #clock: Clock;
  readonly #absent: LRUCache<HashPart, true>;
  #health: Health = 'unknown';
  #reason: string | undefined;
  #healthSince: number;
  #ownPriority: number | undefined;
  /** Paths that failed since the last answer. */
  readonly #failing = new Set<HashPart>();
  #backOff = firstBackOff;
  #cancelProbe: () => void = () => {};
  #probing: Promise<boolean> | undefined;
  #down = new AbortController();
  /** A narinfo that did not come: it is asked for again before the source counts as up. */
  #owed: HashPart | undefined;
  #closed = false;

  constructor(source: Source, options: MonitorOptions) {
    this.source = source;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#healthSince = this.#clock.now();
    this.#absent = new LRUCache({ max: maxAbsent, ttl: absentFor, ttlResolution: 0, perf: this.#clock });
  }

  get id(): string {
    return this.source.id;
  }

  get health(): Health {
    return this.#health;
  }

  /** Why the source is down or captive, in a sentence. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** For how long its health has been what it is, in ms. */
  get healthFor(): number {
    return this.#clock.now() - this.#healthSince;
  }

  /** The operator's word, else the cache's own, else 50; lower is asked first. */
  get priority(): number {
    return this.source.priority ?? this.#ownPriority ?? defaultPriority;
  }

  /** Whether asking it now makes sense. */
  get usable(): boolean {
    if (this.#closed || this.#health === 'down' || this.#health === 'captive') return false;
    return this.source.onThisMachine || this.#options.online();
  }

  /** Whether the source is known not to have a path. */
  lacks(hashPart: HashPart): boolean {
    return this.#absent.has(hashPart);
  }

  /**
   * The narinfo, not verified; undefined for 'not here'. Rejects with SourceError when the source could not say, or with the signal's
   * reason. For `via`, see Source: an agent in a circle says 'not here' without having looked, so that is not remembered.
   */
  async narinfo(hashPart: HashPart, signal: AbortSignal, via?: string): Promise<Narinfo | undefined> {
    if (this.lacks(hashPart)) return undefined;
    const given = AbortSignal.any([signal, this.#down.signal]);
    for (let tries = 1, pause = firstPause; ; tries++, pause *= 2) {
      const started = this.#clock.now();
      try {
        const narinfo = await this.source.narinfo(hashPart, given, via);
        this.#tookSince(started);
        this.#succeeded();
        if (narinfo === undefined && via === undefined) this.#absent.set(hashPart, true);
        return narinfo;
      } catch (error) {
        if (!(error instanceof SourceError) || given.aborted) throw error;
        if (tries >= triesWorth(error, this.#health === 'up')) {
          await this.#failed(error, hashPart);
          throw error;
        }
        await delay(this.#clock, error.retryAfter ?? pause * (0.75 + Math.random() / 2), given);
      }
    }
  }

  /** Opens a NAR. A failure to connect marks the source down; what else is wrong with one NAR is the transfer's to judge. */
  async openNar(url: string, offset: number, signal: AbortSignal, asking?: NarAsking): Promise<SourceBody> {
    return await this.#watched(() => this.source.openNar(url, offset, signal, asking));
  }

  /** Opens another file; undefined when there is none. */
  async openFile(path: string, signal: AbortSignal): Promise<SourceBody | undefined> {
    return await this.#watched(() => this.source.openFile(path, signal));
  }

  /** The body of a NAR went silent or was cut: the source may be gone. Asks it, without waiting. */
  suspect(error: SourceError): void {
    if (error.fault === 'silent' || error.fault === 'unreachable') this.#markDown('down', error);
    else void this.check();
  }

  /**
   * Another network: what was known of this source's reachability and contents no longer counts, nor do its connections, unless the
   * machine has `left` no network.
   */
  async networkChanged(left = true): Promise<void> {
    this.#absent.clear();
    this.#backOff = firstBackOff;
    if (this.source.onThisMachine) return;
    const offline = !this.#options.online();
    if (offline) this.#giveUp(new SourceError('unreachable', `${this.id} is away: this machine is offline`));
    if (left) {
      await this.source.dropConnections();
    }
    if (!offline) void this.check();
  }

  /** Probes now; whether the source is a Nix cache that answers. One probe at a time. */
  check(): Promise<boolean> {
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = undefined;
    });
    return this.#probing;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelProbe();
    this.#down.abort(new SourceError('unreachable', `${this.id} is no longer used`));
    await this.source.close();
  }

  async #watched<T>(open: () => Promise<T>): Promise<T> {
    const started = this.#clock.now();
    try {
      const opened = await open();
      this.#tookSince(started);
      return opened;
    } catch (error) {
      if (error instanceof SourceError && (error.fault === 'unreachable' || error.fault === 'silent'))
        this.#markDown('down', error);
      throw error;
    }
  }

  #tookSince(started: number): void {
    const ms = this.#clock.now() - started;
    this.latency.add(ms);
    this.answers.add(ms);
  }

  #succeeded(): void {
    this.#failing.clear();
    this.#backOff = firstBackOff;
    this.#markUp();
  }

  async #failed(error: SourceError, hashPart: HashPart): Promise<void> {
    switch (error.fault) {
      case 'unreachable':
      case 'silent':
        this.#owed = error.fault === 'silent' ? hashPart : undefined;
        return this.#markDown('down', error);
      case 'captive':
      case 'wrong':
        // One odd answer is that path's trouble; an odd nix-cache-info as well is a network that wants a login.
        if (await this.check()) this.#absent.set(hashPart, true);
        else if (this.usable) this.#markDown('captive', error);
        return;
      default:
        this.#failing.add(hashPart);
        if (error.retryAfter === undefined && this.#failing.size < failingUntilDown) return;
        this.#owed = hashPart;
        this.#markDown('down', error);
    }
  }

  async #probe(): Promise<boolean> {
    this.#cancelProbe();
    if (this.#closed || (!this.source.onThisMachine && !this.#options.online())) return false;
    const started = this.#clock.now();
    const never = new AbortController().signal;
    try {
      const info = await this.source.probe(never);
      if (info.storeDir !== undefined && info.storeDir !== this.#options.storeDir) {
        throw new SourceError(
          'captive',
          `${this.id} is a cache of ${info.storeDir}, not of ${this.#options.storeDir}`,
        );
      }
      this.latency.add(this.#clock.now() - started);
      this.#ownPriority = info.priority;
      // What went silent or failed before must work again, not only the small file beside it.
      if (this.#owed !== undefined) await this.source.narinfo(this.#owed, never).catch(unlessOdd);
      this.#markUp();
      return true;
    } catch (error) {
      if (error instanceof SourceError) this.#probeFailed(error);
      else this.#options.log.error({ err: error, source: this.id }, 'probe failed');
      return false;
    }
  }

  #probeFailed(error: SourceError): void {
    const passing = error.fault === 'unavailable' || error.fault === 'broken';
    // Lookups retry what may pass, a probe does not: one such answer is no evidence against a source that was not down.
    const wasDown = this.#health === 'down' || this.#health === 'captive';
    if (passing && !wasDown) this.#scheduleProbe(error.retryAfter ?? 0);
    else this.#markDown(isOdd(error) ? 'captive' : 'down', error);
  }

  #markUp(): void {
    if (this.#health === 'up' || this.#closed) return;
    const before = this.#health;
    this.#health = 'up';
    this.#healthSince = this.#clock.now();
    this.#reason = undefined;
    this.#owed = undefined;
    this.#failing.clear();
    this.#options.log.info({ source: this.id, was: before }, 'source is up');
    this.#options.changed?.(this);
  }

  #markDown(health: 'down' | 'captive', error: SourceError): void {
    if (this.#closed) return;
    const before = this.#health;
    this.#health = health;
    this.#reason = error.message;
    // After sleep, or behind another router, connections that were open are dead without saying so: a probe must not use them.
    if (error.fault === 'silent') void this.source.dropConnections();
    this.#scheduleProbe(error.retryAfter ?? 0);
    if (before === health) return;
    this.#healthSince = this.#clock.now();
    this.#options.log.info(
      { source: this.id, was: before, now: health, why: error.message },
      'source is down',
    );
    this.#giveUp(error);
    this.#options.changed?.(this);
  }

  /** Ends what still waits for an answer. */
  #giveUp(error: SourceError): void {
    const waiting = this.#down;
    this.#down = new AbortController();
    waiting.abort(error);
  }

  #scheduleProbe(atLeast: number): void {
    if (this.#closed) return;
    this.#cancelProbe();
    const pause = Math.max(this.#backOff, Math.min(atLeast, maxRetryAfter));
    this.#backOff = Math.min(this.#backOff * 2, maxBackOff);
    this.#cancelProbe = this.#clock.after(pause, () => void this.check());
  }
}

/** The source answers, but not as a cache does. */
function isOdd(error: SourceError): boolean {
  return error.fault === 'captive' || error.fault === 'wrong';
}

function unlessOdd(error: unknown): void {
  if (!(error instanceof SourceError && isOdd(error))) throw error;
}

/** How many tries in all a fault is worth. A source that worked a moment ago is not given up over one refused connection. */
function triesWorth(error: SourceError, wasUp: boolean): number {
  switch (error.fault) {
    case 'broken':
      return maxTries;
    case 'unavailable':
      return error.retryAfter === undefined || error.retryAfter <= shortRetryAfter ? maxTries : 1;
    case 'unreachable':
      return wasUp ? 2 : 1;
    default:
      return 1;
  }
}
