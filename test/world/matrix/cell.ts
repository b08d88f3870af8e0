import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { statsSchema } from '../../../agent/http/stats-schema.ts';
import { buildWanted, type WantedOutcome } from '../../e2e/harness/build-wanted.ts';
import { NameServer } from '../../e2e/harness/name-server.ts';
import { type RelayConfig, RelayProcess } from '../../e2e/harness/relay-process.ts';
import { TemporaryDirectory } from '../../e2e/harness/temporary-directory.ts';
import type { Fixture } from '../../fixtures/closure.ts';
import { wantedOf } from './faults.ts';
import { type Cell, type Requests, Source } from './source.ts';
import type { CacheStates } from './states.ts';

/** What real Nix did with narrowcast as its only substituter and `fallback = false`. */
export interface Measured extends Cell {
  readonly outcome: WantedOutcome;
  readonly ms: number;
  /** Of Nix to narrowcast, and of narrowcast to the LAN source and to the upstream. */
  readonly requests: { readonly agent: Requests; readonly lan: Requests; readonly upstream: Requests };
}

/** So short that every cell comes to an end soon. */
const patience = { 'connect-timeout': '2s', 'lookup-timeout': '2s', 'stalled-download-timeout': '4s' };
/** More is a hang. */
const timeoutMs = 90_000;

let lastCell = 0;

/** Measures one cell, with sources, a store, an agent and a cache directory of its own. */
export async function measureCell(fixture: Fixture, states: CacheStates, cell: Cell): Promise<Measured> {
  const { fault, subject, state } = cell;
  const number = ++lastCell;
  const wanted = wantedOf(fault);
  await using directory = await TemporaryDirectory.create('cell');
  const dir = join(directory.path, 'cache');
  await cp(await states.directory(state, wanted), dir, { recursive: true });

  await using names = await NameServer.start(`127.53.${number >> 8}.${number & 255}`);
  const nameServer = join(directory.path, 'resolv.conf');
  await writeFile(nameServer, `nameserver ${names.address}\n`);
  await using stack = new AsyncDisposableStack();
  const powers = {
    hush: () => {
      names.silent = true;
    },
    restartAgent: () => {
      restarted ??= restart();
    },
  };
  const start = (who: 'LAN' | 'upstream') => Source.start(fixture, cell, who, names, powers);
  const lan = stack.use(await start('LAN'));
  const upstream = stack.use(await start('upstream'));
  const unresolved = fault.names === 'silent' && subject === 'narinfo';
  names.silent = unresolved;

  const config: RelayConfig = {
    ...patience,
    substituters: [upstream.url],
    'trusted-public-keys': [fixture.publicKey],
    cache: { dir },
    lan: { discover: false, advertise: false, listen: '', peers: [lan.url] },
  };
  const inside = {
    enter: (argv: readonly string[]) => [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount --bind "$0" /etc/resolv.conf && exec "$@"',
      nameServer,
      ...argv,
    ],
  };
  let agent = await RelayProcess.start(config, { inside });
  stack.defer(() => agent[Symbol.asyncDispose]());
  const { url } = agent;
  let restarted: Promise<void> | undefined;
  const earlier: Requests[] = [];
  async function restart(): Promise<void> {
    earlier.push(await requestsOf(url));
    const killed = agent;
    process.kill(killed.pid, 'SIGKILL');
    await killed[Symbol.asyncDispose]();
    agent = await RelayProcess.start({ ...config, listen: new URL(url).host }, { inside });
  }

  if (!unresolved) await agent.logged('cache found on the LAN');
  const { outcome, ms } = await buildWanted(fixture, [url], { wanted, timeoutMs });
  await restarted;
  const atAgent = [...earlier, await requestsOf(url)];
  return {
    ...cell,
    outcome,
    ms,
    requests: {
      agent: {
        narinfo: atAgent.reduce((sum, { narinfo }) => sum + narinfo, 0),
        nar: atAgent.reduce((sum, { nar }) => sum + nar, 0),
      },
      lan: lan.requests,
      upstream: upstream.requests,
    },
  };
}

/** What an agent counted of Nix's requests. */
async function requestsOf(url: string): Promise<Requests> {
  const { narinfo, nar } = v.parse(statsSchema, await (await fetch(`${url}/stats`)).json()).sinceStart;
  return { narinfo: narinfo.requests, nar: nar.requests };
}
