import { LRUCache } from 'lru-cache';
import type { NarCache } from '../cache/nar-cache.ts';
import type { NarHash } from '../nix/hash.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import { Counters } from '../telemetry/counters.ts';
import type { Logger } from '../telemetry/log.ts';
import { Budget } from './budget.ts';
import { NarUnavailable } from './error.ts';
import type { KnownPath } from './known-path.ts';
import { type TransferLimits, transferLimits } from './limits.ts';
import type { Mark } from './nar-check.ts';
import { NarReading } from './nar-reading.ts';
import { Standings } from './standings.ts';
import { type Ending, Transfer } from './transfer.ts';

export interface TransfersOptions {
  readonly pool: SourcePool;
  /** Finds further sources of a NAR. */
  readonly widen: (known: KnownPath) => Promise<void>;
  readonly log: Logger;
  readonly cache?: NarCache | undefined;
  /** How long clients in mid-stream are held while no source is reachable, in ms. */
  readonly patience: number;
  /** This agent in `Via` headers; needed where it gives to others. */
  readonly via?: string;
  readonly counters?: Counters | undefined;
  readonly limits?: TransferLimits;
  readonly clock?: Clock;
}

/** Nix resumes a cut NAR within seconds; after this time, in ms, a client begins anew. */
const rememberCutFor = 300_000;
const maxCut = 256;
/** What was fetched ahead stays in memory for this long, in ms. */
const atHandFor = 10_000;
const maxAtHand = 8;

/** All transfers that are running: one for each NAR, however many clients read it (I5). */
export class Transfers {
  readonly #options: TransfersOptions;
  readonly #limits: TransferLimits;
  readonly #clock: Clock;
  readonly #running = new Map<NarHash, Transfer>();
  readonly #counters: Counters;
  readonly #standings: Standings;
  readonly #held: Budget;
  readonly #atHand = new Set<NarReading>();
  /** The furthest that clients may have of NARs that were cut before their end. */
  readonly #given: LRUCache<NarHash, Mark>;
  /** NARs of which clients were given wrong bytes: a client that resumes one must be told that it is gone. */
  readonly #spoilt: LRUCache<NarHash, true>;

  constructor(options: TransfersOptions) {
    this.#options = options;
    this.#limits = options.limits ?? transferLimits;
    this.#clock = options.clock ?? systemClock;
    this.#counters = options.counters ?? new Counters();
    this.#standings = new Standings(this.#clock);
    this.#held = new Budget(this.#limits.heldInMemory);
    this.#given = new LRUCache({ max: maxCut, ttl: rememberCutFor, perf: this.#clock });
    this.#spoilt = new LRUCache({ max: maxCut, ttl: rememberCutFor, perf: this.#clock });
  }

  /**
   * Begins to read a NAR, decoded, from byte `offset` on; resolves when its first byte can be sent. The caller closes the reading; `gone`
   * does so too. For `via`, see Source.narinfo.
   * @throws NarUnavailable when no source has it now, or when what the client already has was wrong
   */
  async open(known: KnownPath, offset: number, gone: AbortSignal, via?: string): Promise<NarReading> {
    const reading = new NarReading(await this.#transferFor(known, offset, gone, via), offset);
    gone.addEventListener('abort', () => reading.close(), { once: true });
    try {
      await reading.ready();
      return reading;
    } catch (error) {
      reading.close();
      throw error;
    }
  }

  /**
   * Has a NAR come before a client asks for it, if it is small enough to stay in memory for a while: so it is not decoded a second time, and
   * not fetched a second time either where the disk does not take it. Resolves when it has come, or does not.
   */
  async fetchAhead(known: KnownPath): Promise<void> {
    if (this.#options.cache === undefined || known.narinfo.narSize > this.#limits.holdUpTo) return;
    const transfer = await this.#transferFor(known, 0, new AbortController().signal, undefined);
    const reading = new NarReading(transfer, 0);
    try {
      for await (const _ of reading.chunks())
        if (!transfer.keeps && transfer.clients === 1) return reading.close();
    } catch {
      // Whoever asks for it will be told.
      return reading.close();
    }
    await transfer.ended;
    this.#keepAtHand(reading);
  }

  /** The conduct of sources, as transfers have seen it. */
  get standings(): Standings {
    return this.#standings;
  }

  /** Those to which more bytes will come, oldest first. */
  get running(): Transfer[] {
    return [...this.#running.values()].filter(({ ending }) => ending === undefined);
  }

  /** Resolves when what came of a NAR is stored, or nothing comes: at once where it is not under way, and no later than after `ms`. */
  async settled({ narHash }: KnownPath, ms: number, gone: AbortSignal): Promise<void> {
    const running = this.#running.get(narHash);
    if (running === undefined || ms <= 0 || gone.aborted) return;
    const enough = Promise.withResolvers<void>();
    const cancel = this.#clock.after(ms, enough.resolve);
    gone.addEventListener('abort', () => enough.resolve(), { once: true });
    await Promise.race([running.ended, enough.promise]);
    cancel();
  }

  /** Stops every transfer; their partial files stay for a later resume. */
  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((transfer) => transfer.stop()));
  }

  /** The one that runs, if it can still give a client all that it wants; else another, after it. */
  async #transferFor(
    known: KnownPath,
    offset: number,
    gone: AbortSignal,
    via: string | undefined,
  ): Promise<Transfer> {
    for (;;) {
      if (gone.aborted || (offset > 0 && this.#spoilt.has(known.narHash)))
        throw new NarUnavailable(known.narinfo.storePath.base);
      const running = this.#running.get(known.narHash);
      if (running?.serves(offset)) {
        if (via !== undefined) running.isFor(via);
        if (running.known !== known) void running.ended.then((ending) => this.#adopt(known, ending));
        return running;
      }
      if (running === undefined || running.ending?.kind === 'verified')
        return this.#start(known, offset, via);
      await running.ended;
    }
  }

  #start(known: KnownPath, offset: number, via: string | undefined): Transfer {
    const { narHash } = known;
    const transfer = new Transfer({
      ...this.#options,
      known,
      via: this.#options.via ?? '',
      cache: this.#options.cache,
      standings: this.#standings,
      counters: this.#counters,
      held: this.#held,
      given: offset > 0 ? this.#given.get(narHash) : undefined,
      limits: this.#limits,
      clock: this.#clock,
    });
    if (via !== undefined) transfer.isFor(via);
    this.#running.set(narHash, transfer);
    void transfer.ended.then((ending) => {
      this.#counters.ended(known.narinfo.storePath.base, ending.kind);
      this.#remember(narHash, ending);
    });
    void transfer.over.then(() => {
      if (this.#running.get(narHash) === transfer) this.#running.delete(narHash);
    });
    return transfer;
  }

  #keepAtHand(reading: NarReading): void {
    const letGo = (held: NarReading) => {
      held.close();
      this.#atHand.delete(held);
    };
    this.#atHand.add(reading);
    const [oldest] = this.#atHand;
    if (oldest !== undefined && this.#atHand.size > maxAtHand) letGo(oldest);
    this.#clock.after(atHandFor, () => letGo(reading));
  }

  #remember(narHash: NarHash, ending: Ending): void {
    if (ending.kind === 'verified') {
      this.#given.delete(narHash);
      if (ending.spoilt) this.#spoilt.set(narHash, true);
      return;
    }
    const before = this.#given.get(narHash)?.position ?? 0;
    if (ending.given !== undefined && ending.given.position > before) this.#given.set(narHash, ending.given);
  }

  /** Another path with the same NAR was read: it has that NAR in the cache now as well. */
  async #adopt(known: KnownPath, { kind }: Ending): Promise<void> {
    const adopted = kind === 'verified' && (await this.#options.cache?.adopt(known.narinfo));
    if (adopted) known.stored = adopted;
  }
}
