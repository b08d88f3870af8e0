import { randomBytes } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type NetworkWatch, watchNetwork } from '../discovery/network.ts';
import { DiskCache } from './cache/disk-cache.ts';
import type { Config } from './config/schema.ts';
import type { SubstituterUrl } from './config/substituters.ts';
import { LocalFace } from './http/local.ts';
import { FaceServer } from './http/server.ts';
import { NarrowcastError } from './nix/error.ts';
import type { StorePath } from './nix/store-path.ts';
import { LookAhead } from './relay/look-ahead.ts';
import { Lookup } from './relay/lookup.ts';
import { OtherFiles } from './relay/other-files.ts';
import { Transfers } from './relay/transfers.ts';
import { Trust } from './relay/trust.ts';
import { DirectorySource } from './source/directory-source.ts';
import { HttpSource } from './source/http-source.ts';
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
  const instance = `narrowcast-${randomBytes(6).toString('hex')}`;
  const network = watchNetwork();
  const resolver = new Resolver();
  const netrc = await readNetrc(config.netrcFile);
  const pool = new SourcePool({ storeDir: config.storeDir, log, online: () => network.online });
  for (const substituter of config.substituters)
    pool.add(sourceOf(substituter, config, { instance, resolver, netrc }));
  const cache = await DiskCache.open({ ...config.cache, storeDir: config.storeDir }, { log });

  const lookup = new Lookup({
    pool,
    cache,
    log,
    trust: new Trust(config.storeDir, config.trustedPublicKeys),
  });
  const lookAhead = new LookAhead({
    find: (hashPart) => lookup.find(hashPart),
    inStore: inStore(config.storeDir),
  });
  const patience = Math.min(4 * config.stalledDownloadTimeout, longestPatience);
  const transfers = new Transfers({ pool, cache, log, patience, widen: (known) => lookup.widen(known) });
  const otherFiles = new OtherFiles(pool, log);
  const face = new LocalFace({
    storeDir: config.storeDir,
    lookup,
    lookAhead,
    transfers,
    otherFiles,
    instance,
  });
  const server = new FaceServer((request, response) => face.handle(request, response), log);

  return {
    async start() {
      const { host, addresses, port } = config.listen;
      const chosen = await server.listen(addresses, port);
      followNetwork(network, pool, resolver, lookAhead, log);
      void pool.checkAll();
      return { urls: [`http://${host}:${chosen}`] };
    },
    async stop() {
      network.stop();
      lookAhead.reset();
      await server.stop();
      await transfers.stop();
      await pool.close();
      await cache.close();
    },
  };
}

function sourceOf(
  { url, priority }: SubstituterUrl,
  config: Config,
  shared: { instance: string; resolver: Resolver; netrc: Netrc },
): Source {
  const { storeDir, connectTimeout, lookupTimeout } = config;
  const stalledTimeout = config.stalledDownloadTimeout;
  if (url.protocol === 'file:') {
    return new DirectorySource({
      dir: path.resolve(fileURLToPath(url)),
      priority,
      storeDir,
      lookupTimeout,
      stalledTimeout,
    });
  }
  const identity = { via: `1.1 ${shared.instance}`, 'user-agent': `narrowcast/${version}` };
  const { resolver, netrc } = shared;
  return new HttpSource({
    url,
    reach: 'upstream',
    configured: true,
    priority,
    storeDir,
    connectTimeout,
    lookupTimeout,
    stalledTimeout,
    identity,
    resolver,
    netrc,
  });
}

/** What was learnt on one network does not count on the next. */
function followNetwork(
  network: NetworkWatch,
  pool: SourcePool,
  resolver: Resolver,
  lookAhead: LookAhead,
  log: Logger,
): void {
  network.on('changed', (change) => {
    log.info({ change, online: network.online }, 'network changed');
    resolver.forget();
    lookAhead.reset();
    void pool.networkChanged();
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
