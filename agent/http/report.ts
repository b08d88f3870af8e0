import type { LinkStatus } from '../../discovery/discovery.ts';
import type { NetworkWatch } from '../../discovery/network.ts';
import type { Peer } from '../../discovery/peer.ts';
import type { DiskCache } from '../cache/disk-cache.ts';
import type { Transfers } from '../relay/transfers.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import type { Counters, Dated, Finished, Rejected } from '../telemetry/counters.ts';
import type { Histogram } from '../telemetry/histogram.ts';
import type { Totals } from '../telemetry/totals.ts';
import { version } from '../version.ts';
import type { Times } from './metrics-text.ts';
import type {
  CacheStats,
  FinishedRequest,
  LatencyStats,
  NetworkStats,
  PeerStats,
  Recent,
  Rejection,
  SourceStats,
  Stats,
  TransferStats,
} from './stats-schema.ts';

/** The parts of the agent that are reported on. */
export interface ReportParts {
  readonly storeDir: string;
  readonly network: Pick<NetworkWatch, 'online' | 'addresses'>;
  readonly pool: Pick<SourcePool, 'all'>;
  readonly cache: Pick<DiskCache, 'stats'>;
  /** `cache.max-size` in bytes; 0 is no limit. */
  readonly maxBytes: number;
  readonly counters: Counters;
  readonly totals: Totals;
  readonly transfers: Pick<Transfers, 'running'>;
  /** Undefined before it has started. */
  readonly discovery: () =>
    | { readonly peers: readonly Peer[]; readonly links: readonly LinkStatus[] }
    | undefined;
}

/** How the agent is; stats-schema.ts says what it means. */
export class Report {
  readonly #parts: ReportParts;
  readonly #startedAt = new Date();
  readonly #started = performance.now();

  constructor(parts: ReportParts) {
    this.#parts = parts;
  }

  get stats(): Stats {
    const { totals } = this.#parts;
    return {
      schema: 2,
      version,
      startedAt: this.#startedAt.toISOString(),
      uptimeMs: Math.round(performance.now() - this.#started),
      network: this.network,
      sources: this.sources,
      peers: this.peers,
      cache: this.cache,
      ...this.counters,
      totalsSince: new Date(totals.since).toISOString(),
      transfers: this.transfers,
      history: totals.days,
    };
  }

  get counters(): Pick<Stats, 'sinceStart' | 'totals' | 'latency'> {
    const { counters, totals } = this.#parts;
    return { sinceStart: counters.counts, totals: totals.totals, latency: this.latency };
  }

  get times(): Times {
    const { counters, pool } = this.#parts;
    return { lookups: counters.lookups, answers: new Map(pool.all.map(({ id, answers }) => [id, answers])) };
  }

  get network(): NetworkStats {
    const { network, pool, discovery } = this.#parts;
    const links = discovery()?.links ?? [];
    return {
      online: network.online,
      state: network.online ? placeOf(pool.all) : 'offline',
      addresses: network.addresses.map(({ name, address }) => ({
        interface: name,
        address,
        mdnsTrouble: links.find((link) => link.address === address)?.trouble?.message ?? null,
      })),
    };
  }

  get sources(): SourceStats[] {
    return this.#parts.pool.all.map(ofSource);
  }

  get peers(): PeerStats[] {
    return (this.#parts.discovery()?.peers ?? []).map(ofPeer);
  }

  get cache(): CacheStats {
    const { cache, maxBytes } = this.#parts;
    const stats = cache.stats();
    return { ...stats, maxBytes, evictions: stats.evicted.nars, quarantined: stats.quarantine.nars };
  }

  get latency(): LatencyStats {
    const { counters, pool } = this.#parts;
    const bySource = pool.all.map(({ id, answers }) => [id, quantiles(answers)] as const);
    return { lookup: quantiles(counters.lookups), bySource: Object.fromEntries(bySource) };
  }

  get transfers(): TransferStats[] {
    return this.#parts.transfers.running.map(({ known, progress, clients, startedAt }) => ({
      storePath: `${this.#parts.storeDir}/${known.narinfo.storePath.base}`,
      received: progress.received,
      total: progress.total ?? null,
      rate: Math.round(progress.rate),
      source: progress.source ?? null,
      narSize: known.narinfo.narSize,
      clients,
      startedAt: new Date(startedAt).toISOString(),
    }));
  }

  /** Requests and rejections that ended at or after that moment, in ms since the epoch. */
  recent(since = 0): Recent {
    const { requests, rejections } = this.#parts.counters;
    const late = ({ at }: Dated) => at >= since;
    return {
      requests: requests.filter(late).map((request) => this.ofRequest(request)),
      rejections: rejections.filter(late).map((rejection) => this.ofRejection(rejection)),
    };
  }

  ofRequest({ at, path, giver, ms, reason, ...request }: Finished & Dated): FinishedRequest {
    return {
      time: new Date(at).toISOString(),
      ...request,
      path: this.inFull(path),
      source: giver?.id ?? null,
      origin: giver?.origin ?? null,
      ms: Math.round(ms * 100) / 100,
      reason: reason ?? null,
    };
  }

  ofRejection({ at, kind, path, giver, reason }: Rejected & Dated): Rejection {
    return { time: new Date(at).toISOString(), kind, path: this.inFull(path), source: giver.id, reason };
  }

  /** A store path with its directory; what is none as it is. */
  inFull(path: string): string {
    return /^[0-9a-z]{32}-/.test(path) ? `${this.#parts.storeDir}/${path}` : path;
  }
}

function placeOf(sources: readonly MonitoredSource[]): NetworkStats['state'] {
  const up = (source: MonitoredSource) => source.health === 'up';
  if (sources.some((source) => source.source.reach === 'lan' && up(source))) return 'home';
  const far = sources.filter(({ source }) => source.reach === 'upstream');
  return far.some(({ health }) => health === 'captive') && !far.some(up) ? 'captive' : 'away';
}

function ofSource(monitored: MonitoredSource): SourceStats {
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

function ofPeer({ name, url, origin, state, reason, latency, lastSeen, announced }: Peer): PeerStats {
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

function quantiles(histogram: Histogram): LatencyStats['lookup'] {
  const at = (part: number) => rounded(histogram.quantile(part));
  return { count: histogram.count, p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}
