import { onTestFinished } from 'vitest';
import type { HttpSource, HttpSourceOptions } from '../../../../agent/source/http-source.ts';
import { MonitoredSource, type MonitorOptions } from '../../../../agent/source/monitored-source.ts';
import { Resolver } from '../../../../agent/source/resolver.ts';
import { storeDir } from './cache-files.ts';
import { httpSource } from './http-source.ts';
import { type LogLines, logLines } from './log-lines.ts';
import { ManualClock } from './manual-clock.ts';
import { type Reply, ScriptedServer } from './scripted-server.ts';

/** A source that the agent takes for another machine, whose server stands on loopback all the same. */
export interface Distant {
  readonly clock: ManualClock;
  readonly server: ScriptedServer;
  readonly source: HttpSource;
  readonly monitored: MonitoredSource;
  readonly log: LogLines;
  /** What `changed` was called with, as `health`. */
  readonly changes: string[];
  readonly network: { online: boolean };
}

export interface DistantOptions extends Partial<HttpSourceOptions> {
  readonly monitor?: Partial<MonitorOptions>;
}

export async function distant(reply: Reply, { monitor, ...options }: DistantOptions = {}): Promise<Distant> {
  const clock = options.clock instanceof ManualClock ? options.clock : new ManualClock();
  const network = { online: true };
  const changes: string[] = [];
  const log = await logLines();
  const server = await ScriptedServer.start(reply);
  onTestFinished(() => server.stop());
  const resolver = new Resolver(clock, async () => [{ address: '127.0.0.1', family: 4 }]);
  const source = httpSource(new URL(`http://cache.example:${server.port}`), { resolver, ...options, clock });
  const monitored = new MonitoredSource(source, {
    storeDir,
    log: log.log,
    clock,
    online: () => network.online,
    changed: ({ health }) => changes.push(health),
    ...monitor,
  });
  onTestFinished(() => monitored.close());
  return { clock, server, source, monitored, log, changes, network };
}
