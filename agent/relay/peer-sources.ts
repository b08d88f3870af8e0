import type { Source } from '../source/source.ts';
import type { SourcePool } from '../source/source-pool.ts';
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
}

export interface PeerSourcesOptions {
  readonly peers: PeerTable;
  readonly pool: SourcePool;
  readonly sourceOf: (url: string, configured: boolean) => Source;
  readonly log: Logger;
}

/**
 * Makes sources of the peers that are up, until they are not. Tells discovery when such a source fails, which verifies the peer
 * again then: nobody is gone on hearsay. A cache that the operator made a substituter stays one.
 */
export function followPeers({ peers, pool, sourceOf, log }: PeerSourcesOptions): void {
  const urlOf = new Map<string, string>();
  peers.on('peer up', ({ url, name, origin }) => {
    const source = sourceOf(url, origin === 'static');
    if (pool.get(source.id) !== undefined) return void source.close();
    urlOf.set(source.id, url);
    void pool.add(source).check();
    log.info({ peer: name, url }, 'cache found on the LAN');
  });
  peers.on('peer down', ({ url, name, reason }) => {
    for (const [id, known] of urlOf) {
      if (known !== url) continue;
      urlOf.delete(id);
      void pool.remove(id);
    }
    log.info({ peer: name, url, why: reason }, 'cache on the LAN is gone');
  });
  pool.on('changed', () => {
    for (const [id, url] of urlOf) {
      const health = pool.get(id)?.health;
      if (health === 'down' || health === 'captive') peers.doubt(url);
    }
  });
}
