import { once } from 'node:events';
import { createServer } from 'node:http';
import * as v from 'valibot';
import { expect, it, onTestFinished } from 'vitest';
import { Report } from '../../../agent/http/report.ts';
import { type Stats, statsSchema } from '../../../agent/http/stats-schema.ts';
import { Counters } from '../../../agent/telemetry/counters.ts';
import { Totals } from '../../../agent/telemetry/totals.ts';
import { DiscoveryError } from '../../../discovery/error.ts';
import { openCache, temporaryDirectory } from '../cache/support/temporary.ts';
import { startAgent } from './agent-here.ts';
import { ask } from './lan-face.ts';

/** For what happens at once, unless the machine is busy. */
const soon = { timeout: 10_000 };

/** A cache for our store that has nothing, on loopback. */
async function emptyCache(): Promise<string> {
  const server = createServer(({ url }, response) => {
    if (url === '/nix-cache-info') response.end('StoreDir: /nix/store\nPriority: 7\n');
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}

/** Parsed strictly: what the schema does not name is a fault. */
function read(text: string): Stats {
  const json: unknown = JSON.parse(text);
  const stats = v.parse(statsSchema, json);
  expect(stats).toEqual(json);
  return stats;
}

it('tells of sources, peers, network and cache, in the documented form', async () => {
  const [upstream, peer] = [await emptyCache(), await emptyCache()];
  const dead = 'http://127.0.0.1:9';
  const port = await startAgent(['substituters', `${upstream}?priority=3 ${dead}`], ['lan.peers', peer]);
  let stats = read((await ask(port, '/stats')).body.toString());
  const updated = async () => {
    stats = read((await ask(port, '/stats')).body.toString());
    return stats;
  };
  await expect.poll(async () => (await updated()).peers[0]?.state, soon).toBe('up');
  await expect
    .poll(async () => (await updated()).sources.map(({ health }) => health), soon)
    .toEqual(['up', 'down', 'up']);

  expect(stats).toMatchObject({
    schema: 2,
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    sources: [
      { id: upstream, reach: 'upstream', reason: null, priority: 3, bytesPerSecond: null },
      { id: dead, reach: 'upstream', reason: expect.stringContaining('ECONNREFUSED'), latencyMs: null },
      { id: peer, reach: 'lan', reason: null, priority: 7 },
    ],
    peers: [
      { name: peer.replace('http://', ''), url: `${peer}/`, origin: 'static', reason: null, announced: {} },
    ],
    cache: { paths: 0, nars: 0, bytes: 0, disk: { condition: 'ok' } },
  });
  expect(Math.abs(Date.parse(stats.startedAt) + stats.uptimeMs - Date.now())).toBeLessThan(5_000);
  expect(Date.now() - Date.parse(stats.peers[0]?.lastSeen ?? '')).toBeLessThan(60_000);
  expect(stats.network.addresses.every(({ address }) => address !== '127.0.0.1')).toBe(true);
});

it('tells where multicast DNS does not work', async () => {
  const link = {
    index: 1,
    carrierChanges: 0,
    family: 'IPv4',
    netmask: '255.255.255.0',
    tunnel: false,
  } as const;
  const cache = await openCache({ dir: await temporaryDirectory() });
  const counters = new Counters();
  const { network } = new Report({
    storeDir: '/nix/store',
    network: {
      online: true,
      addresses: [
        { ...link, name: 'eth0', address: '10.0.0.2' },
        { ...link, name: 'wlan0', address: '10.1.0.2' },
      ],
    },
    pool: { all: [] },
    cache,
    maxBytes: 0,
    counters,
    totals: new Totals({ counters, keep: { load: async () => undefined, save: async () => true } }),
    transfers: { running: [] },
    discovery: () => ({
      peers: [],
      links: [
        { name: 'eth0', address: '10.0.0.2', trouble: undefined },
        {
          name: 'wlan0',
          address: '10.1.0.2',
          trouble: new DiscoveryError('port-taken', 'The port is taken.'),
        },
      ],
    }),
  });
  expect(network).toEqual({
    online: true,
    state: 'away',
    addresses: [
      { interface: 'eth0', address: '10.0.0.2', mdnsTrouble: null },
      { interface: 'wlan0', address: '10.1.0.2', mdnsTrouble: 'The port is taken.' },
    ],
  });
});

it('is for this machine: a page on the web that has a name for us reads nothing', async () => {
  const port = await startAgent(['substituters', '']);
  const as = (host: string) => ask(port, '/stats', { headers: { host } });
  for (const host of ['localhost', `localhost:${port}`, `127.0.0.1:${port}`, '[::1]:1', 'LOCALHOST']) {
    expect((await as(host)).status, host).toBe(200);
  }
  for (const host of ['rebound.example', 'localhost.rebound.example', '192.168.0.2', ':', 'a b']) {
    const { status, body } = await as(host);
    expect([status, body.toString()], host).toEqual([403, 'ask for this page at localhost\n']);
  }
});

it('answers GET and HEAD, and nothing beneath', async () => {
  const port = await startAgent(['substituters', '']);
  const head = await ask(port, '/stats', { method: 'HEAD' });
  expect([head.status, head.headers['content-type'], head.body.length]).toEqual([200, 'application/json', 0]);
  expect((await ask(port, '/stats', { method: 'POST' })).status).toBe(405);
  for (const path of ['/stats/', '/statsx', '/stats?x']) expect((await ask(port, path)).status).toBe(404);
});

it('tells what was asked since a time', async () => {
  const port = await startAgent(['substituters', '']);
  await ask(port, '/00000000000000000000000000000000.narinfo');
  const since = async (time: string) => read((await ask(port, `/stats?since=${time}`)).body.toString());
  const today = await since('2026-01-01');
  expect(today.recent?.requests.map(({ path }) => path)).toEqual(['00000000000000000000000000000000']);
  expect(today.history.map(({ narinfo }) => narinfo.absent)).toEqual([1]);
  const asked = Date.parse(today.recent?.requests[0]?.time ?? '');
  const just = encodeURIComponent(new Date(asked + 1).toISOString());
  expect((await since(just)).recent).toEqual({ requests: [], rejections: [] });
  expect((await since(just)).history.length).toBe(1);
  expect((await since('2099-01-01')).history).toEqual([]);
  expect(read((await ask(port, '/stats')).body.toString()).recent).toBeUndefined();
  for (const time of ['', 'yesterday', '2026-13-01', '1', '%'])
    expect((await ask(port, `/stats?since=${time}`)).status, time).toBe(400);
});
