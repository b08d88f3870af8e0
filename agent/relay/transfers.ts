import { LRUCache } from 'lru-cache';
import type { NarCache } from '../cache/nar-cache.ts';
import type { NarHash } from '../nix/hash.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { Budget } from './budget.ts';
import { NarUnavailable } from './error.ts';
import type { KnownPath } from './known-path.ts';
import type { NarCheck } from './nar-check.ts';
import { NarReading } from './nar-reading.ts';
import { Transfer } from './transfer.ts';

export interface TransfersOptions {
  readonly pool: SourcePool;
  readonly widen: (known: KnownPath) => Promise<void>;
  readonly log: Logger;
  readonly cache?: NarCache | undefined;
  /** How long clients in mid-stream are held while no source is reachable, in ms. */
  readonly patience: number;
  readonly clock?: Clock;
}

const heldInMemory = 32 * 1024 * 1024;
/** Nix resumes a cut NAR within seconds; after this time, in ms, a client begins anew. */
const rememberCutFor = 300_000;
const maxCut = 256;

/** All transfers that are running: one for each NAR, however many clients read it (I5). */
export class Transfers {
  readonly #options: TransfersOptions;
  readonly #clock: Clock;
  readonly #running = new Map<NarHash, Transfer>();
  readonly #held = new Budget(heldInMemory);
  /** What clients have of NARs that were cut before their end. */
  readonly #given: LRUCache<NarHash, NarCheck>;
  /** NARs of which clients were given wrong bytes: a client that resumes one must be told that it is gone. */
  readonly #spoilt: LRUCache<NarHash, true>;

  constructor(options: TransfersOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#given = new LRUCache({ max: maxCut, ttl: rememberCutFor, perf: this.#clock });
    this.#spoilt = new LRUCache({ max: maxCut, ttl: rememberCutFor, perf: this.#clock });
  }

  /**
   * Begins to read a NAR, decoded, from byte `offset` on; resolves when its first byte can be sent. The caller closes the reading; `gone` does so too.
   * @throws NarUnavailable when no source has it now, or when what the client already has was wrong
   */
  async open(known: KnownPath, offset: number, gone: AbortSignal): Promise<NarReading> {
    if (offset > 0 && this.#spoilt.has(known.narHash)) throw new NarUnavailable(known.narinfo.storePath.base);
    const reading = new NarReading(this.#running.get(known.narHash) ?? this.#start(known, offset), offset);
    gone.addEventListener('abort', () => reading.close(), { once: true });
    try {
      await reading.ready();
      return reading;
    } catch (error) {
      reading.close();
      throw error;
    }
  }

  /** Stops every transfer; their partial files stay for a later resume. */
  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((transfer) => transfer.stop()));
  }

  #start(known: KnownPath, offset: number): Transfer {
    const { narHash } = known;
    const { pool, widen, cache, patience, log } = this.#options;
    const transfer = new Transfer({
      known,
      pool,
      widen,
      cache,
      patience,
      log,
      held: this.#held,
      given: offset > 0 ? this.#given.get(narHash) : undefined,
      clock: this.#clock,
    });
    this.#running.set(narHash, transfer);
    void transfer.ended.then((ending) => {
      this.#running.delete(narHash);
      if (ending.kind !== 'verified') {
        if (ending.spoilt) this.#spoilt.set(narHash, true);
        if (ending.given !== undefined) this.#given.set(narHash, ending.given);
        return;
      }
      this.#given.delete(narHash);
      if (ending.prefixWasWrong) this.#spoilt.set(narHash, true);
    });
    return transfer;
  }
}
