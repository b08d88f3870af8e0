import type { NarCache } from '../cache/nar-cache.ts';
import { isDecodable } from '../nix/compression.ts';
import type { SourceError } from '../source/error.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, delay } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { NarUnavailable } from './error.ts';
import type { Givers } from './givers.ts';
import type { KnownPath } from './known-path.ts';
import type { TransferLimits } from './limits.ts';
import type { Sample } from './pace.ts';
import type { Standings } from './standings.ts';
import { type Begun, canContinue, isMost, rankOf, type Supply, suppliesOf } from './supply.ts';

export interface ChoiceOptions {
  readonly known: KnownPath;
  readonly pool: SourcePool;
  readonly cache: NarCache | undefined;
  readonly standings: Standings;
  readonly givers: Givers;
  /** Finds further sources of the same NAR. */
  readonly widen: (known: KnownPath) => Promise<void>;
  /** Whether there is a place for a NAR that must be verified first. */
  readonly hasRoom: () => boolean;
  /** Whether it is worth waiting for a source while none is reachable … */
  readonly mayWait: () => boolean;
  /** … and how long without a byte, in ms. */
  readonly patience: number;
  readonly limits: TransferLimits;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Where the bytes of a file that turned out wrong came from. */
export interface Origin {
  readonly supplies: readonly Supply[];
  /** Some were here already, from an earlier transfer. */
  readonly earlier: boolean;
}

/** After so many tries in a row without progress, a supply is given up. */
const maxStrikes = 3;
/** A trusted supply that had a part in a wrong file gets one more chance where nobody else is: it may have been the link, or another's part. */
const maxDoubts = 2;
/** How often what is there of one file is given up for another's sake, when nothing was wrong with it. */
const maxBegunAnew = 4;
/** A supply is left when another is known to be this many times faster, … */
const muchFaster = 4;
/** … was so in this many samples in a row, … */
const slowSamples = 5;
/** … and saves this much, in ms. */
const worthLeaving = 10_000;
/** Others are asked when a supply wants to be left alone for this long, in ms. */
const worthAskingOthers = 1_000;
/** An unproven supply that crawls is left after this time, in ms. */
const crawlFor = 3_000;
/** What a supply far away would still need less time for than this, in ms, it may end though a nearer one has come. */
const worthComingHome = 2_000;
/** A source that must be verified first gives this many bytes at least in the time that it has, if nobody else can be asked. */
const leastUnproven = 1024 * 1024;
/** While clients wait, sources that are away are asked this often, in ms, whether they are back. */
const probeEvery = 2_000;

/** Decides from which supply a transfer reads next, and when it has had enough of one. */
export class Choice {
  readonly #options: ChoiceOptions;
  readonly #out = new Set<string>();
  readonly #lastResorts = new Set<string>();
  /** Supplies that cannot go on with what was begun, whatever they say of their file. */
  readonly #unfit = new Set<string>();
  readonly #strikes = new Map<string, number>();
  readonly #doubts = new Map<string, number>();
  /** Supplies that went silent after they had given something, at their last try. */
  readonly #silent = new Set<string>();
  #deadline: number;
  #widened = false;
  #begunAnew = 0;
  #slowSamples = 0;
  /** For how long the present supply has crawled, in ms. */
  #crawled = 0;
  /** Sources nearby that were asked for the NAR. */
  readonly #near = new WeakSet<MonitoredSource>();
  #unproven: { since: number; bytes: number; late: boolean } | undefined;

  constructor(options: ChoiceOptions) {
    this.#options = options;
    this.#deadline = options.clock.now() + options.patience;
  }

  /**
   * The best supply now. Waits for one, if that is worth it.
   * @throws NarUnavailable when there is none
   */
  async next(begun: Begun | undefined, signal = this.#options.signal): Promise<Supply> {
    const { known, clock, mayWait } = this.#options;
    this.#slowSamples = 0;
    this.#crawled = 0;
    for (;;) {
      signal.throwIfAborted();
      using change = new PoolChange({ ...this.#options, signal });
      const left = await this.#left(begun);
      const best = this.#best(left, begun);
      if (best !== undefined) {
        if (!best.trusted) this.#unproven ??= { since: clock.now(), bytes: begun?.bytes ?? 0, late: false };
        return best;
      }
      if (await this.#widen()) continue;
      const wait = this.#deadline - clock.now();
      if (left.length === 0 || wait <= 0 || !mayWait())
        throw new NarUnavailable(known.narinfo.storePath.base);
      if (await change.within(Math.min(wait, probeEvery))) this.#widened = false;
      else for (const supply of left) supply.probe();
    }
  }

  /** Whether a supply can go on with what was begun. */
  continues(supply: Supply, begun: Begun): boolean {
    return !this.#unfit.has(supply.id) && canContinue(supply, begun);
  }

  /** Whether a supply that pauses is to be asked anew soon: it went silent before, and that brings something each time. */
  isImpatient({ id }: Supply): boolean {
    return this.#silent.has(id);
  }

  /** Whether a client need not wait for a supply, as another has the NAR, too. */
  async hasOther({ id }: Supply): Promise<boolean> {
    await this.#widen();
    const left = await this.#left(undefined);
    return left.some((other) => other.id !== id && other.usable && other.trusted);
  }

  /** A file is begun at a supply; `lost` tells whether bytes of another were given up for it, with which nothing was wrong. */
  begins(supply: Supply, lost: boolean): void {
    if (lost) this.#begunAnew += 1;
    this.#unfit.delete(supply.id);
  }

  /** A supply stopped after byte `position` of its file. Resolves when it is time to choose again. */
  async failed(supply: Supply, error: SourceError, position: number, progress: boolean): Promise<void> {
    const { known, clock, patience, log, givers } = this.#options;
    const { id } = supply;
    givers.failed(supply);
    log.info(
      { source: id, path: known.narinfo.storePath.base, position, why: error.message },
      'transfer interrupted',
    );
    if (progress) this.#deadline = clock.now() + patience;
    if (error.fault === 'silent' && !supply.trusted) supply.crawled();
    if (error.fault === 'stalled') this.#lastResorts.add(id);
    if (progress && (error.fault === 'silent' || error.fault === 'stalled')) this.#silent.add(id);
    else this.#silent.delete(id);
    await supply.stopped(error);
    if (error.fault === 'gone') return await this.#dismiss(supply, error.message);
    if (!supply.usable) return;
    if (error.fault === 'wrong' && position === 0) return await this.#dismiss(supply, error.message);
    if (error.fault === 'wrong') this.#unfit.add(id);
    const strikes = progress ? 1 : (this.#strikes.get(id) ?? 0) + 1;
    this.#strikes.set(id, strikes);
    if (strikes >= maxStrikes) this.#out.add(id);
    else await this.#rest(supply, pauseAfter(strikes, error));
  }

  /**
   * A whole file was wrong. Who gave all of it is to blame; of several, those who have not proven themselves; else it may have been
   * any of them, or what was here already.
   */
  async wrong({ supplies, earlier }: Origin, error: Error): Promise<void> {
    const { known, log, givers } = this.#options;
    const alone = supplies.length === 1 && !earlier;
    const unproven = supplies.filter(({ trusted }) => !trusted);
    for (const supply of unproven.length > 0 ? unproven : supplies) {
      const { id } = supply;
      log.warn(
        { err: error, source: id, alone, path: known.narinfo.storePath.base },
        'source gave a wrong NAR',
      );
      givers.lied(supply, known.narinfo.storePath.base, error.message);
      const doubts = (this.#doubts.get(id) ?? 0) + 1;
      this.#doubts.set(id, doubts);
      this.#lastResorts.add(id);
      if (alone) supply.lied();
      if (!supply.trusted || supply.stored || doubts >= maxDoubts) await this.#dismiss(supply, error.message);
      else await this.#widen();
    }
  }

  /**
   * Whether to stay with a supply, asked about once a second. It is left when another is known to be much faster, when it is far and
   * one nearby has come up, and when it must be verified first and takes too long.
   * @param rest bytes of its file still to come
   */
  async stays(supply: Supply, sample: Sample, begun: Begun, rest: number): Promise<boolean> {
    if (supply.stored) return true;
    if (!(await this.#isInTime(supply, begun)) || (await this.#crawls(supply, sample, begun))) return false;
    return (
      !(await this.#isHome(supply, sample, begun, rest)) && !(await this.#isSlow(supply, sample, begun, rest))
    );
  }

  /** Supplies that are not given up, reachable or not. */
  async #left(begun: Begun | undefined): Promise<Supply[]> {
    const { known, hasRoom } = this.#options;
    const stuck = begun !== undefined && begun.bytes > 0 && this.#begunAnew >= maxBegunAnew;
    const supplies = await suppliesOf(known, this.#options);
    return supplies.filter(
      (supply) =>
        !this.#out.has(supply.id) &&
        isDecodable(supply.file.compression) &&
        (supply.trusted || hasRoom()) &&
        (!stuck || this.continues(supply, begun)),
    );
  }

  /** Of equals the one that goes on with what was begun, then the one that comes first. */
  #best(left: readonly Supply[], begun: Begun | undefined): Supply | undefined {
    const order = (supply: Supply) =>
      2 * this.#rank(supply, begun) + (begun !== undefined && this.continues(supply, begun) ? 0 : 1);
    return left
      .filter(({ usable }) => usable)
      .sort((a, b) => order(a) - order(b))
      .at(0);
  }

  #rank(supply: Supply, begun: Begun | undefined): number {
    const late = !supply.trusted && this.#unproven?.late === true;
    const rank = rankOf(supply, late || this.#lastResorts.has(supply.id));
    const most =
      begun?.trusted && isMost(begun.bytes, supply.file) && supply.trusted && this.continues(supply, begun);
    // Before an unproven one nearby, behind a trusted one.
    return most && !supply.near ? rank - 2 : rank;
  }

  /** Asks further sources, once until the pool changes; false when that was done already. */
  async #widen(): Promise<boolean> {
    if (this.#widened) return false;
    this.#widened = true;
    await this.#options.widen(this.#options.known);
    return true;
  }

  /** Waits until the supply may be asked again; where that is long, another comes first. */
  async #rest(supply: Supply, pause: number): Promise<void> {
    const { clock, signal } = this.#options;
    if (pause >= worthAskingOthers) {
      this.#lastResorts.add(supply.id);
      if (await this.hasOther(supply)) return;
    }
    await delay(clock, pause, signal);
  }

  async #dismiss(supply: Supply, why: string): Promise<void> {
    this.#out.add(supply.id);
    await supply.withdraw(why);
  }

  async #isInTime(supply: Supply, begun: Begun): Promise<boolean> {
    const { clock, limits } = this.#options;
    const unproven = this.#unproven;
    if (supply.trusted || unproven === undefined || clock.now() - unproven.since < limits.verifyFirst)
      return true;
    await this.#widen();
    const others = (await this.#left(begun)).filter(({ trusted, usable }) => trusted && usable);
    const little = begun.bytes - unproven.bytes < leastUnproven;
    this.#unproven = { since: clock.now(), bytes: begun.bytes, late: others.length > 0 };
    if (others.length > 0) supply.crawled();
    if (others.length === 0 && little) this.#out.add(supply.id);
    return others.length === 0 && !little;
  }

  /** It must be verified first and is slow, maybe on purpose: then anybody else is better. */
  async #crawls(supply: Supply, sample: Sample, begun: Begun): Promise<boolean> {
    const slow = sample.bytes * 1_000 < this.#options.limits.crawl * sample.elapsed;
    const crawling = slow && !isIdle(sample) && !supply.trusted && !this.#lastResorts.has(supply.id);
    this.#crawled = crawling ? this.#crawled + sample.elapsed : 0;
    if (this.#crawled < crawlFor) return false;
    await this.#widen();
    const others = (await this.#left(begun)).filter(
      ({ id, usable, shunned }) => id !== supply.id && usable && !shunned,
    );
    if (others.length === 0) return false;
    supply.crawled();
    this.#lastResorts.add(supply.id);
    this.#options.log.info(
      { source: supply.id, bytes: sample.bytes, ms: sample.elapsed },
      'source is left as it crawls',
    );
    return true;
  }

  /** A cache nearby has come up, as when the machine is home again, and is to give the rest. */
  async #isHome(supply: Supply, sample: Sample, begun: Begun, rest: number): Promise<boolean> {
    if (supply.near || rest * sample.elapsed < worthComingHome * sample.bytes) return false;
    const fresh = this.#options.pool
      .usable()
      .filter((source) => source.source.reach !== 'upstream' && !this.#near.has(source));
    if (fresh.length === 0) return false;
    for (const source of fresh) this.#near.add(source);
    this.#widened = false;
    await this.#widen();
    const best = this.#best(await this.#left(begun), begun);
    if (best === undefined || !best.near) return false;
    this.#options.log.info({ source: supply.id, near: best.id, rest }, 'source is left for one nearby');
    return true;
  }

  async #isSlow(supply: Supply, sample: Sample, begun: Begun, rest: number): Promise<boolean> {
    const speed = (sample.bytes * 1_000) / sample.elapsed;
    const together = speed * Math.max(1, supply.readings);
    const faster = (other: { speed: number | undefined }) => (other.speed ?? 0) >= muchFaster * together;
    const saves = (other: Supply) => {
      const bytes = this.continues(other, begun)
        ? rest
        : (other.file.fileSize ?? this.#options.known.narinfo.narSize);
      return rest / speed - bytes / (other.speed ?? 0) >= worthLeaving / 1_000;
    };
    const sources = this.#options.pool
      .usable()
      .map(({ id, throughput }) => ({ id, speed: throughput.value }));
    if (isIdle(sample) || !sources.some((source) => source.id !== supply.id && faster(source))) {
      this.#slowSamples = 0;
      return false;
    }
    this.#slowSamples += 1;
    if (this.#slowSamples < slowSamples) return false;
    await this.#widen();
    const left = await this.#left(begun);
    const better = left.find(
      (other) =>
        other.id !== supply.id &&
        other.usable &&
        other.trusted &&
        !this.#lastResorts.has(other.id) &&
        faster(other) &&
        saves(other),
    );
    if (better === undefined) return false;
    this.#lastResorts.add(supply.id);
    this.#options.log.info(
      {
        source: supply.id,
        speed: Math.round(speed),
        better: better.id,
        itsSpeed: Math.round(better.speed ?? 0),
      },
      'source is left for a faster one',
    );
    return true;
  }
}

/** Notices a change of a source's health or of the network from the moment it is made. */
class PoolChange implements Disposable {
  readonly #options: Pick<ChoiceOptions, 'pool' | 'clock' | 'signal'>;
  readonly #happened = Promise.withResolvers<boolean>();
  readonly #notice = () => this.#happened.resolve(true);

  constructor(options: Pick<ChoiceOptions, 'pool' | 'clock' | 'signal'>) {
    this.#options = options;
    options.pool.on('changed', this.#notice);
    options.signal.addEventListener('abort', this.#notice);
  }

  /** Resolves to true when it has happened or the transfer is aborted, to false after `ms`. */
  async within(ms: number): Promise<boolean> {
    const late = Promise.withResolvers<boolean>();
    const cancel = this.#options.clock.after(ms, () => late.resolve(false));
    const happened = await Promise.race([this.#happened.promise, late.promise]);
    cancel();
    return happened;
  }

  [Symbol.dispose](): void {
    this.#options.pool.off('changed', this.#notice);
    this.#options.signal.removeEventListener('abort', this.#notice);
  }
}

/** Mostly the clients were waited for, not the source. */
function isIdle({ waited, elapsed }: Sample): boolean {
  return waited < 0.8 * elapsed;
}

/** In ms; as long as the source asks for, within reason. */
function pauseAfter(strikes: number, { retryAfter = 0 }: SourceError): number {
  return Math.min(Math.max(50 * 2 ** strikes, retryAfter), 5_000);
}
