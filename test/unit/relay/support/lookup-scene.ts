import { onTestFinished } from 'vitest';
import type { NarCache } from '../../../../agent/cache/nar-cache.ts';
import { Lookup } from '../../../../agent/relay/lookup.ts';
import { Trust } from '../../../../agent/relay/trust.ts';
import type { MonitoredSource } from '../../../../agent/source/monitored-source.ts';
import { Resolver } from '../../../../agent/source/resolver.ts';
import type { Reach } from '../../../../agent/source/source.ts';
import { SourcePool } from '../../../../agent/source/source-pool.ts';
import {
  cacheFiles,
  type Sample,
  storeDir,
  type TestKey,
  testKey,
} from '../../source/support/cache-files.ts';
import { httpSource } from '../../source/support/http-source.ts';
import { type LogLines, logLines } from '../../source/support/log-lines.ts';
import { ManualClock } from '../../source/support/manual-clock.ts';
import { type Reply, ScriptedServer, text } from '../../source/support/scripted-server.ts';

/** One cache of a scene: its server, and the source that the lookup sees. */
export interface SceneSource {
  readonly server: ScriptedServer;
  readonly source: MonitoredSource;
}

/** A lookup among real servers that seem to be other machines, with a clock of the test's. */
export interface LookupScene {
  readonly clock: ManualClock;
  readonly key: TestKey;
  readonly pool: SourcePool;
  readonly lookup: Lookup;
  readonly log: LogLines;
  readonly network: { online: boolean };
  /** A cache on the LAN that nobody named. */
  peer(name: string, reply: Reply): Promise<SceneSource>;
  /** A substituter. */
  upstream(name: string, reply: Reply, priority?: number): Promise<SceneSource>;
}

const key = testKey();

export async function lookupScene(options: { readonly cache?: NarCache } = {}): Promise<LookupScene> {
  const clock = new ManualClock();
  const network = { online: true };
  const log = await logLines();
  const pool = new SourcePool({ storeDir, log: log.log, clock, online: () => network.online });
  onTestFinished(() => pool.close());
  const trust = new Trust(storeDir, key.trusted);
  const lookup = new Lookup({ pool, trust, log: log.log, clock, ...options });
  const resolver = new Resolver(clock, async () => [{ address: '127.0.0.1', family: 4 }]);

  async function add(
    name: string,
    reply: Reply,
    more: { reach: Reach; configured: boolean; priority?: number | undefined },
  ): Promise<SceneSource> {
    const server = await ScriptedServer.start(reply);
    onTestFinished(() => server.stop());
    const url = new URL(`http://${name}.example:${server.port}`);
    return { server, source: pool.add(httpSource(url, { resolver, clock, ...more })) };
  }

  return {
    clock,
    key,
    pool,
    lookup,
    log,
    network,
    peer: (name, reply) => add(name, reply, { reach: 'lan', configured: false }),
    upstream: (name, reply, priority) => add(name, reply, { reach: 'upstream', configured: true, priority }),
  };
}

/** An honest cache with these paths. */
export function having(...samples: Sample[]): Reply {
  const files = cacheFiles(samples);
  return (request, response) => {
    const file = files.get(request.url ?? '');
    if (file === undefined) return text(404)(request, response);
    response.writeHead(200, { 'content-length': file.length }).end(file);
  };
}

/** The same answer, when the test opens the gate. */
export function gated(reply: Reply): { readonly reply: Reply; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { reply: (request, response) => promise.then(() => reply(request, response)), open: resolve };
}
