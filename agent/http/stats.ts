import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LinkStatus } from '../../discovery/discovery.ts';
import type { NetworkWatch } from '../../discovery/network.ts';
import type { Peer } from '../../discovery/peer.ts';
import type { DiskCache } from '../cache/disk-cache.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { version } from '../version.ts';
import { isForThisMachine } from './for-this-machine.ts';
import { say } from './reply.ts';
import type { Stats } from './stats-schema.ts';

/** The parts of the agent that are reported on. */
export interface StatsParts {
  readonly network: Pick<NetworkWatch, 'online' | 'addresses'>;
  readonly pool: Pick<SourcePool, 'all'>;
  readonly cache: Pick<DiskCache, 'stats'>;
  /** Undefined before it has started. */
  readonly discovery: () =>
    | { readonly peers: readonly Peer[]; readonly links: readonly LinkStatus[] }
    | undefined;
}

/** `GET /stats` on the local face: how the agent is, as JSON; stats-schema.ts says what it means. */
export class StatsPage {
  readonly #parts: StatsParts;
  readonly #startedAt = new Date();
  readonly #started = performance.now();

  constructor(parts: StatsParts) {
    this.#parts = parts;
  }

  /** Answers a request for the page; false for any other. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.url !== '/stats') return false;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      say(response, 405, 'only GET and HEAD', { allow: 'GET, HEAD' });
    } else if (isForThisMachine(request)) {
      const body = Buffer.from(`${JSON.stringify(this.stats())}\n`);
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': body.length,
        'cache-control': 'no-store',
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    } else say(response, 403, 'ask for this page at localhost');
    return true;
  }

  stats(): Stats {
    const { network, pool, cache, discovery } = this.#parts;
    const { peers = [], links = [] } = discovery() ?? {};
    return {
      schema: 1,
      version,
      startedAt: this.#startedAt.toISOString(),
      uptimeMs: Math.round(performance.now() - this.#started),
      network: {
        online: network.online,
        addresses: network.addresses.map(({ name, address }) => ({
          interface: name,
          address,
          mdnsTrouble: links.find((link) => link.address === address)?.trouble?.message ?? null,
        })),
      },
      sources: pool.all.map(ofSource),
      peers: peers.map(ofPeer),
      cache: cache.stats(),
    };
  }
}

function ofSource(monitored: MonitoredSource): Stats['sources'][number] {
  const { id, source, health, reason, latency, throughput, priority } = monitored;
  return {
    id,
    reach: source.reach,
    health,
    reason: reason ?? null,
    latencyMs: rounded(latency.value),
    bytesPerSecond: rounded(throughput.value),
    priority,
  };
}

function ofPeer({
  name,
  url,
  origin,
  state,
  reason,
  latency,
  lastSeen,
  announced,
}: Peer): Stats['peers'][number] {
  return {
    name,
    url,
    origin,
    state,
    reason: reason ?? null,
    latencyMs: rounded(latency),
    lastSeen: lastSeen === undefined ? null : new Date(lastSeen).toISOString(),
    announced: Object.fromEntries(announced),
  };
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}
