import { Nginx } from '../../e2e/harness/nginx.ts';
import { freePort } from '../../e2e/harness/ports.ts';
import { compiled } from '../compiled.ts';
import { closureOf } from '../material/closure.ts';
import { fullCache } from '../material/full-cache.ts';
import { type ManyNarinfos, manyNarinfos } from '../material/many-narinfos.ts';
import { NixClient } from '../nix-client.ts';
import { Relay } from '../relay.ts';
import type { Row } from '../report.ts';
import { inTurn } from '../rounds.ts';
import { cpuSeconds } from '../usage.ts';
import { load } from '../wrk.ts';
import type { Measure, Size } from './measure.ts';

/** How cost grows with the closure, the cache, the clients and the peers. */
export const growth: Measure = {
  name: 'growth',
  async take(size) {
    const program = await compiled();
    const narinfos = await manyNarinfos();
    await using nginx = await Nginx.start(narinfos.directory);
    return {
      name: 'growth',
      method:
        'With the closure: real Nix substitutes paths of up to 20 KB without any limit of the network. With the cache directory: the first answer of a relay that starts on it, and its memory then. With clients: narinfos from memory, asked for by wrk over so many connections. With peers: the same beside so many caches on the LAN, of narinfos that nobody has, each asked for once.',
      rows: [
        ...(await withTheClosure(program, size)),
        ...(await withTheCache(program, size)),
        ...(await withClients(program, nginx, narinfos, size)),
        ...(await withPeers(program, nginx, narinfos, size)),
      ],
    };
  },
};

async function withTheClosure(program: string, { short, rounds }: Size): Promise<Row[]> {
  const rows: Row[] = [];
  for (const paths of short ? [10] : [10, 100, 1_000, 5_000]) {
    const { directory, publicKey, top } = await closureOf(paths, 20_000);
    await using nginx = await Nginx.start(directory);
    const client = new NixClient(publicKey);
    const relayed = async () => {
      await using relay = await Relay.start({ program, substituter: nginx.url, publicKey });
      const before = await cpuSeconds(relay.pid);
      const seconds = await client.realise(relay.url, top);
      return { seconds, cpu: (await cpuSeconds(relay.pid)) - before, peak: (await relay.memory()).peak };
    };
    const results = await inTurn(rounds, { relayed, direct: () => client.realise(nginx.url, top) });
    const what = `closure of ${paths.toLocaleString('en')} paths`;
    const direct = { name: 'direct', samples: results.map(({ direct }) => direct) };
    rows.push(
      { what, unit: 's', relay: results.map(({ relayed }) => relayed.seconds), beside: [direct] },
      row(
        what,
        'CPU ms a path',
        results.map(({ relayed }) => (1_000 * relayed.cpu) / paths),
      ),
      row(
        what,
        'MiB of RSS at its peak',
        results.map(({ relayed }) => relayed.peak / 2 ** 20),
      ),
    );
  }
  return rows;
}

async function withTheCache(program: string, { short }: Size): Promise<Row[]> {
  const rows: Row[] = [];
  for (const paths of short ? [1_000] : [1_000, 10_000, 100_000]) {
    const cacheDirectory = await fullCache(paths);
    await using relay = await Relay.start({ program, substituter: 'http://127.0.0.1:9', cacheDirectory });
    const what = `cache of ${paths.toLocaleString('en')} paths`;
    rows.push(row(what, 'ms to the first answer', [relay.startedIn]));
    await relay.statsWhen(({ cache }) => cache.scan !== undefined);
    rows.push(row(what, 'MiB of RSS', [(await relay.memory()).now / 2 ** 20]));
  }
  return rows;
}

async function withClients(
  program: string,
  nginx: Nginx,
  { publicKey, presentList }: ManyNarinfos,
  { short }: Size,
): Promise<Row[]> {
  await using relay = await Relay.start({ program, substituter: nginx.url, publicKey });
  const ask = (connections: number) =>
    load(relay.url, { list: presentList }, short ? 1 : 3, 'found', connections);
  await ask(1);
  const rows: Row[] = [];
  for (const clients of short ? [1, 50] : [1, 5, 25, 50]) {
    const { requestsPerSecond, p99 } = await ask(clients);
    const what = `${clients} client${clients === 1 ? '' : 's'}`;
    rows.push(row(what, 'requests/s', [requestsPerSecond]), row(what, 'ms, p99', [p99]));
  }
  return rows;
}

async function withPeers(
  program: string,
  nginx: Nginx,
  { directory, publicKey }: ManyNarinfos,
  { short }: Size,
): Promise<Row[]> {
  const ports = await Promise.all(Array.from({ length: 32 }, freePort));
  const listen = ports.map((port) => `listen 127.0.0.1:${port};`).join(' ');
  await using _lan = await Nginx.start(directory, { config: listen });
  const rows: Row[] = [];
  for (const count of short ? [0, 2] : [0, 1, 8, 32]) {
    const peers = ports.slice(0, count).map((port) => `http://127.0.0.1:${port}`);
    await using relay = await Relay.start({ program, substituter: nginx.url, publicKey, peers });
    await relay.statsWhen((stats) => stats.peers.filter(({ state }) => state === 'up').length === count);
    const seed = String(Math.floor(1e9 + Math.random() * 9e9));
    const { requestsPerSecond, p99 } = await load(
      relay.url,
      { freshWithPrefix: seed },
      short ? 1 : 3,
      'absent',
    );
    const what = `${count} peer${count === 1 ? '' : 's'}`;
    rows.push(row(what, 'requests/s', [requestsPerSecond]), row(what, 'ms, p99', [p99]));
  }
  return rows;
}

function row(what: string, unit: string, relay: readonly number[]): Row {
  return { what, unit, relay, beside: [] };
}
