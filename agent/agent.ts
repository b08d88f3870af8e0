import { randomBytes } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createDiscovery, type Discovery } from '../discovery/discovery.ts';
import { linkKey } from '../discovery/interfaces.ts';
import { type NetworkWatch, watchNetwork } from '../discovery/network.ts';
import { DiskCache } from './cache/disk-cache.ts';
import type { LanAddress } from './config/listen-address.ts';
import type { Config } from './config/schema.ts';
import type { SubstituterUrl } from './config/substituters.ts';
import { LanFace } from './http/lan.ts';
import { LocalFace } from './http/local.ts';
import { gone } from './http/reply.ts';
import { FaceServer } from './http/server.ts';
import { activatedSockets } from './http/socket-activation.ts';
import { StatsPage } from './http/stats.ts';
import { Throttle } from './http/throttle.ts';
import { NarrowcastError } from './nix/error.ts';
import type { StorePath } from './nix/store-path.ts';
import { LookAhead } from './relay/look-ahead.ts';
import { Lookup } from './relay/lookup.ts';
import { OtherFiles } from './relay/other-files.ts';
import { PeerSources } from './relay/peer-sources.ts';
import { Transfers } from './relay/transfers.ts';
import { Trust } from './relay/trust.ts';
import { DirectorySource } from './source/directory-source.ts';
import { HttpSource, type HttpSourceOptions } from './source/http-source.ts';
import { type Netrc, parseNetrc } from './source/netrc.ts';
import { Resolver } from './source/resolver.ts';
import type { Source } from './source/source.ts';
import { SourcePool } from './source/source-pool.ts';
import type { Logger } from './telemetry/log.ts';
import { version } from './version.ts';

/** The running program, as commands see it. */
export interface Agent {
  /** Begins to serve. Resolves to the local face's URLs. */
  start(): Promise<{ readonly urls: readonly string[] }>;
  /** Answers what is in flight (10 s at most), then stops everything. */
  stop(): Promise<void>;
}

/** Nix gives up on a silent download after 300 s; a held client must be cut, so that it resumes, before that. */
const longestPatience = 240_000;
const maxNetrcBytes = 1024 * 1024;

/**
 * Builds every part from one Config; nothing runs before `start`.
 * @throws NarrowcastError when the netrc file cannot be read; CacheError when the cache directory is another process's
 */
export async function createAgent(config: Config, log: Logger): Promise<Agent> {
  const { storeDir, lan } = config;
  const id = randomBytes(6).toString('hex');
  const instance = `narrowcast-${id}`;
  const network = watchNetwork();
  const resolver = new Resolver();
  const sources = new SourceMaker(config, instance, resolver, await readNetrc(config.netrcFile));
  const pool = new SourcePool({ storeDir, log, online: () => network.online });
  for (const substituter of config.substituters) pool.add(sources.ofSubstituter(substituter));
  const cache = await DiskCache.open({ ...config.cache, storeDir }, { log });
  const trust = new Trust(storeDir, config.trustedPublicKeys);

  const lookup = new Lookup({ pool, cache, log, trust });
  const lookAhead = new LookAhead({ find: (hashPart) => lookup.find(hashPart), inStore: inStore(storeDir) });
  const patience = Math.min(4 * config.stalledDownloadTimeout, longestPatience);
  const transfers = new Transfers({ pool, cache, log, patience, widen: (known) => lookup.widen(known) });
  const otherFiles = new OtherFiles(pool, log);
  const local = new LocalFace({ storeDir, lookup, lookAhead, transfers, otherFiles, instance });
  const stats = new StatsPage({ network, pool, cache, discovery: () => discovery });
  const localServer = new FaceServer(async (request, response) => {
    if (!stats.handle(request, response)) await local.handle(request, response);
  }, log);

  const throttle = new Throttle(lan.maxUploadRate);
  const pace = (response: ServerResponse, chunks: AsyncIterable<Uint8Array>) =>
    throttle.pace(response.req.socket.remoteAddress ?? '', chunks, gone(response));
  const shareKeys = new Map([...config.trustedPublicKeys].filter(([name]) => lan.shareKeys.has(name)));
  const lanFace = new LanFace({
    storeDir,
    cache,
    shareKeys,
    instance,
    maxRequests: lan.maxConnections,
    pace,
    pullThrough: lan.pullThrough ? pullThrough() : undefined,
  });
  const lanServer = new FaceServer(
    (request, response) => lanFace.handle(request, response),
    log,
    lan.maxConnections,
  );
  let discovery: Discovery | undefined;

  /** Answers the LAN like this machine's own Nix, but only what a shareable key has signed. */
  function pullThrough() {
    const found = new Lookup({ pool, cache, log, trust: signedOnly(new Trust(storeDir, shareKeys)) });
    const face = new LocalFace({
      storeDir,
      lookup: found,
      lookAhead: new LookAhead({ find: (hashPart) => found.find(hashPart), inStore: async () => false }),
      transfers,
      otherFiles: new OtherFiles({ usable: () => [] }, log),
      instance,
      pace,
    });
    return (request: IncomingMessage, response: ServerResponse) => face.handle(request, response);
  }

  function discover(port: number | undefined): Discovery {
    if (lan.pullThrough && lan.peers.length > 0)
      log.warn('lan.peers are not asked by a machine with lan.pull-through: name them in substituters');
    const sourceOf = (url: string, configured: boolean, heard: () => void) =>
      sources.ofPeer(url, configured, heard);
    const peers = new PeerSources({ pool, storeDir, log, sourceOf });
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
      followNetwork(network, pool, resolver, lookAhead, log);
      discovery = discover(lanPort);
      void pool.checkAll();
      return { urls: [`http://${host}:${chosen}`] };
    },
    async stop() {
      network.stop();
      lookAhead.reset();
      await discovery?.stop();
      await Promise.all([localServer.stop(), lanServer.stop()]);
      await transfers.stop();
      await pool.close();
      await cache.close();
    },
  };
}

/** Makes sources, which all have the timeouts, the identity and the credentials of this agent. */
class SourceMaker {
  readonly #config: Config;
  readonly #identity: Readonly<Record<string, string>>;
  readonly #resolver: Resolver;
  readonly #netrc: Netrc;

  constructor(config: Config, instance: string, resolver: Resolver, netrc: Netrc) {
    this.#config = config;
    this.#identity = { via: `1.1 ${instance}`, 'user-agent': `narrowcast/${version}` };
    this.#resolver = resolver;
    this.#netrc = netrc;
  }

  ofSubstituter({ url, priority }: SubstituterUrl): Source {
    if (url.protocol !== 'file:') return this.#http({ url, reach: 'upstream', configured: true, priority });
    return new DirectorySource({ dir: path.resolve(fileURLToPath(url)), priority, ...this.#common });
  }

  ofPeer(url: string, configured: boolean, heard: () => void): Source {
    return this.#http({ url: new URL(url), reach: 'lan', configured, heard });
  }

  #http(own: Pick<HttpSourceOptions, 'url' | 'reach' | 'configured' | 'priority' | 'heard'>): Source {
    const shared = { identity: this.#identity, resolver: this.#resolver, netrc: this.#netrc };
    return new HttpSource({
      ...own,
      connectTimeout: this.#config.connectTimeout,
      ...shared,
      ...this.#common,
    });
  }

  get #common() {
    const { storeDir, lookupTimeout, stalledDownloadTimeout } = this.#config;
    return { storeDir, lookupTimeout, stalledTimeout: stalledDownloadTimeout };
  }
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

/** The LAN face is a courtesy: where it cannot listen, this machine's own Nix is served all the same. */
async function listenOnLan(
  server: FaceServer,
  place: LanAddress | undefined,
  log: Logger,
): Promise<number | undefined> {
  if (place === undefined) return undefined;
  const addresses = place.address === '::' && !hasIpv6() ? ['0.0.0.0'] : [place.address];
  try {
    const port = await server.listen(addresses, place.port);
    log.info({ address: place.address, port }, 'open to the LAN');
    return port;
  } catch (err) {
    log.error({ err }, 'not open to the LAN');
    return undefined;
  }
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'));
}

/** What was learnt on one network does not count on the next. */
function followNetwork(
  network: NetworkWatch,
  pool: SourcePool,
  resolver: Resolver,
  lookAhead: LookAhead,
  log: Logger,
): void {
  const linksNow = () => new Set(network.addresses.map(linkKey));
  let links = linksNow();
  network.on('changed', (change) => {
    log.info({ change, online: network.online }, 'network changed');
    const before = links;
    links = linksNow();
    resolver.forget();
    lookAhead.reset();
    // Connections over a link that is still there go on, save after a sleep, when nobody knows.
    void pool.networkChanged(change === 'resumed' || [...before].some((link) => !links.has(link)));
  });
  network.start();
}

function inStore(storeDir: string): (path: StorePath) => Promise<boolean> {
  return async ({ base }) => {
    try {
      await access(path.join(storeDir, base));
      return true;
    } catch {
      return false;
    }
  };
}

async function readNetrc(file: string | undefined): Promise<Netrc> {
  if (file === undefined) return () => undefined;
  try {
    const text = await readFile(file, 'utf8');
    if (text.length > maxNetrcBytes) throw new RangeError(`it is larger than ${maxNetrcBytes} bytes`);
    return parseNetrc(text);
  } catch (cause) {
    throw new NarrowcastError('netrc-unreadable', `The netrc-file ${file} cannot be read`, { cause });
  }
}
