import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createDiscovery, type Discovery } from '../discovery/discovery.ts';
import { watchNetwork } from '../discovery/network.ts';
import { DiskCache } from './cache/disk-cache.ts';
import type { Config } from './config/schema.ts';
import { Changes } from './http/changes.ts';
import { CollectPage } from './http/collect.ts';
import { Dashboard } from './http/dashboard.ts';
import { Events } from './http/events.ts';
import { LanFace } from './http/lan.ts';
import { LocalFace } from './http/local.ts';
import { gone } from './http/reply.ts';
import { Report } from './http/report.ts';
import { FaceServer } from './http/server.ts';
import { activatedSockets } from './http/socket-activation.ts';
import { StatsPages } from './http/stats.ts';
import { Throttle } from './http/throttle.ts';
import { WhyPage } from './http/why.ts';
import { followNetwork } from './parts/follow-network.ts';
import { inStore } from './parts/in-store.ts';
import { listenOnLan } from './parts/listen-on-lan.ts';
import { readNetrc, SourceMaker } from './parts/source-maker.ts';
import { uploads } from './parts/uploads.ts';
import { FetchAhead } from './relay/fetch-ahead.ts';
import { LookAhead } from './relay/look-ahead.ts';
import { Lookup } from './relay/lookup.ts';
import { OtherFiles } from './relay/other-files.ts';
import { PeerSources } from './relay/peer-sources.ts';
import { Transfers } from './relay/transfers.ts';
import { Trust } from './relay/trust.ts';
import { Resolver } from './source/resolver.ts';
import { SourcePool } from './source/source-pool.ts';
import { Counters } from './telemetry/counters.ts';
import type { Logger } from './telemetry/log.ts';
import { Totals } from './telemetry/totals.ts';

/** The running program, as commands see it. */
export interface Agent {
  /** Begins to serve. Resolves to the local face's URLs. */
  start(): Promise<{ readonly urls: readonly string[] }>;
  /** Asks every source anew, as on another network: somebody knows that this one works now. */
  networkChanged(): void;
  /** Answers what is in flight (10 s at most), then stops everything. */
  stop(): Promise<void>;
}

/** Nix gives up on a silent download after 300 s; a held client must be cut, so that it resumes, before that. */
const longestPatience = 240_000;

/**
 * Builds every part from one Config; nothing runs before `start`.
 * @throws NarrowcastError when the netrc file cannot be read; CacheError when the cache directory is another process's
 */
export async function createAgent(config: Config, log: Logger): Promise<Agent> {
  const { storeDir, lan } = config;
  const id = randomBytes(6).toString('hex');
  const instance = `narrowcast-${id}`;
  const counters = new Counters();
  const network = watchNetwork();
  const resolver = new Resolver();
  const sources = new SourceMaker(config, instance, resolver, await readNetrc(config.netrcFile), counters);
  const pool = new SourcePool({ storeDir, log, online: () => network.online });
  for (const substituter of config.substituters) pool.add(sources.ofSubstituter(substituter));
  const cache = await DiskCache.open({ ...config.cache, storeDir }, { log });
  const trust = new Trust(storeDir, config.trustedPublicKeys);

  const lookup = new Lookup({ pool, cache, log, trust, counters });
  const isInStore = inStore(storeDir);
  const lookAhead = new LookAhead({ find: (hashPart) => lookup.find(hashPart), inStore: isInStore });
  const patience = Math.min(4 * config.stalledDownloadTimeout, longestPatience);
  const transfers = new Transfers({
    pool,
    cache,
    log,
    counters,
    patience,
    via: `1.1 ${instance}`,
    widen: (known) => lookup.widen(known),
  });
  const fetchAhead = new FetchAhead({
    fetch: (known) => transfers.fetchAhead(known),
    running: () => transfers.running.length,
    inStore: isInStore,
  });
  const otherFiles = new OtherFiles(pool, log);
  const local = new LocalFace({
    storeDir,
    lookup,
    lookAhead,
    fetchAhead,
    transfers,
    otherFiles,
    instance,
    cache,
    // What is stored anew as zstd changes its file, and is decoded at once.
    asStored: config.cache.compression !== 'zstd',
    sentStored: (bytes, whole) => counters.sentStored(bytes, whole),
    finished: (request) => counters.local(request),
  });
  const totals = new Totals({ counters, keep: cache.state('totals.json') });
  const report = new Report({
    storeDir,
    network,
    pool,
    cache,
    maxBytes: config.cache.maxSize,
    counters,
    totals,
    transfers,
    discovery: () => discovery,
  });
  const events = new Events(report, new Changes(report, counters));
  const stats = new StatsPages(report, events);
  const dashboard = new Dashboard();
  const collect = new CollectPage(cache);
  const why = new WhyPage({ storeDir, pool, trust, lookup, cache, standings: transfers.standings });
  const localServer = new FaceServer(async (request, response) => {
    await (stats.handle(request, response) ??
      dashboard.handle(request, response) ??
      collect.handle(request, response) ??
      why.handle(request, response) ??
      local.handle(request, response));
  }, log);

  const throttle = new Throttle(lan.maxUploadRate);
  const pace = (response: ServerResponse, chunks: AsyncIterable<Uint8Array>) =>
    throttle.pace(response.req.socket.remoteAddress ?? '', chunks, gone(response));
  const shareKeys = new Map([...config.trustedPublicKeys].filter(([name]) => lan.shareKeys.has(name)));
  const lanFace = new LanFace({
    storeDir,
    cache,
    otherFiles: cache.otherFiles,
    shareKeys,
    instance,
    finished: (request) => counters.shared(request),
    maxRequests: lan.maxConnections,
    pace,
    pullThrough: lan.pullThrough ? pullThrough() : undefined,
    uploads: uploads(config, cache, counters, log),
  });
  const lanServer = new FaceServer(
    (request, response) => lanFace.handle(request, response),
    log,
    lan.maxConnections,
  );
  let discovery: Discovery | undefined;

  /** Answers the LAN like this machine's own Nix, but only what a shareable key has signed. */
  function pullThrough() {
    const found = new Lookup({
      pool,
      cache,
      log,
      counters,
      trust: signedOnly(new Trust(storeDir, shareKeys)),
    });
    const face = new LocalFace({
      storeDir,
      lookup: found,
      lookAhead: new LookAhead({ find: (hashPart) => found.find(hashPart), inStore: async () => false }),
      transfers,
      otherFiles: new OtherFiles({ usable: () => [] }, log),
      instance,
      cache,
      asStored: false,
      finished: (request) => counters.shared(request),
      pace,
    });
    return (request: IncomingMessage, response: ServerResponse) => face.handle(request, response);
  }

  function discover(port: number | undefined): Discovery {
    if (lan.pullThrough && lan.peers.length > 0)
      log.warn('lan.peers are not asked by a machine with lan.pull-through: name them in substituters');
    const peers = new PeerSources({
      pool,
      storeDir,
      log,
      sourceOf: (url, configured, heard, quiet) => sources.ofPeer(url, configured, heard, quiet),
    });
    const found = createDiscovery({
      network,
      verify: (url, signal) => peers.verify(url, signal),
      ...(port !== undefined && { own: { id, port } }),
      // Who fetches for the LAN takes nothing from it: two such would wait for each other (I10).
      browse: lan.discover && !lan.pullThrough,
      staticPeers: lan.pullThrough ? [] : lan.peers,
      announce: lan.advertise && port !== undefined,
    });
    peers.follow(found);
    found.on('trouble', (err) => log.warn({ err }, 'mDNS does not work'));
    found.on('recovered', (code) => log.info({ code }, 'mDNS works again'));
    found.start();
    return found;
  }

  return {
    async start() {
      const { host, addresses, port } = config.listen;
      const sockets = activatedSockets();
      const chosen = await (sockets.length > 0
        ? localServer.adopt(sockets)
        : localServer.listen(addresses, port));
      const lanPort = await listenOnLan(lanServer, lan.listen, log);
      followNetwork(network, pool, resolver, [lookAhead, fetchAhead], log);
      discovery = discover(lanPort);
      void totals.start();
      void pool.checkAll();
      return { urls: [`http://${host}:${chosen}`] };
    },
    networkChanged: () => network.tell(),
    async stop() {
      network.stop();
      lookAhead.reset();
      fetchAhead.reset();
      await discovery?.stop();
      events.stop();
      await Promise.all([localServer.stop(), lanServer.stop()]);
      await transfers.stop();
      await pool.close();
      await totals.stop();
      await cache.close();
    },
  };
}

/** The LAN is shown what a shareable key has signed; an unsigned path may be private though its address holds. */
function signedOnly(trust: Trust): Pick<Trust, 'judge'> {
  return {
    judge(...asked) {
      const trusted = trust.judge(...asked);
      return trusted?.by === 'content address' ? undefined : trusted;
    },
  };
}
