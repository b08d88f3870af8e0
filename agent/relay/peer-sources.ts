import type { Verdict } from '../../discovery/verify.ts';
import { SourceError } from '../source/error.ts';
import type { Source } from '../source/source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';

/** A peer as far as the relay uses it. */
export interface UsablePeer {
  /** Base URL. */
  readonly url: string;
  readonly name: string;
  /** `static`: the operator named it. */
  readonly origin: string;
  readonly reason: string | undefined;
}

/** The table of peers as discovery keeps it. */
export interface PeerTable {
  on(event: 'peer up' | 'peer down', listener: (peer: UsablePeer) => void): unknown;
  /** A request to the peer failed. */
  doubt(url: string): void;
  /** A request to the peer went well. */
  vouch(url: string): void;
}

export interface PeerSourcesOptions {
  readonly pool: SourcePool;
  readonly storeDir: string;
  /** Makes the source of a peer, which calls `heard` each time that something comes from it, and `quiet` while a NAR does not move. */
  readonly sourceOf: (url: string, configured: boolean, heard: () => void, quiet: () => void) => Source;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** While a peer gives, discovery is told so this often, in ms. */
const vouchEvery = 1_000;

/**
 * Makes sources of the peers that are up, until they are not, and tells discovery how they do: who fails is verified again, who gives
 * need not be. Nobody is gone on hearsay. A cache that the operator made a substituter stays one.
 */
export class PeerSources {
  readonly #options: PeerSourcesOptions;
  readonly #clock: Clock;
  /** By the peer's URL. */
  readonly #sources = new Map<string, Source>();

  constructor(options: PeerSourcesOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Whether a Nix cache for our store is at a peer's address. A source is asked over the connections that it has. */
  async verify(url: string, signal: AbortSignal): Promise<Verdict> {
    const known = this.#sources.get(url);
    if (known !== undefined) {
      try {
        return await this.#probe(known, signal);
      } catch (error) {
        // It may have closed an idle connection at this moment.
        if (!(error instanceof SourceError && error.fault === 'broken')) throw error;
      }
    }
    const nothing = () => {};
    const fresh = this.#options.sourceOf(url, false, nothing, nothing);
    try {
      return await this.#probe(fresh, signal);
    } finally {
      await fresh.close();
    }
  }

  /** Begins. */
  follow(peers: PeerTable): void {
    const { pool, log } = this.#options;
    peers.on('peer up', (peer) => this.#add(peer, peers));
    peers.on('peer down', ({ url, name, reason }) => {
      const source = this.#sources.get(url);
      this.#sources.delete(url);
      if (source !== undefined) void pool.remove(source.id);
      log.info({ peer: name, url, why: reason }, 'cache on the LAN is gone');
    });
    pool.on('changed', () => {
      for (const [url, { id }] of this.#sources) {
        const health = pool.get(id)?.health;
        if (health === 'down' || health === 'captive') peers.doubt(url);
      }
    });
  }

  #add({ url, name, origin }: UsablePeer, peers: PeerTable): void {
    const { pool, sourceOf, log } = this.#options;
    let vouchedAt = this.#clock.now();
    const heard = () => {
      if (this.#clock.now() - vouchedAt < vouchEvery) return;
      vouchedAt = this.#clock.now();
      peers.vouch(url);
    };
    // It may have been switched off or carried away: then its NARs are fetched elsewhere long before a transfer counts as stalled.
    const source = sourceOf(url, origin === 'static', heard, () => peers.doubt(url));
    if (pool.get(source.id) !== undefined) return void source.close();
    this.#sources.set(url, source);
    void pool.add(source).check();
    log.info({ peer: name, url }, 'cache found on the LAN');
  }

  async #probe(source: Source, signal: AbortSignal): Promise<Verdict> {
    const { storeDir = this.#options.storeDir } = await source.probe(signal);
    if (storeDir === this.#options.storeDir) return { ok: true };
    return { ok: false, reason: `its store is ${storeDir}` };
  }
}
