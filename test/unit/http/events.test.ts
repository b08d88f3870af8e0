import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Changes } from '../../../agent/http/changes.ts';
import type { StatsEvent } from '../../../agent/http/event-schema.ts';
import { Events } from '../../../agent/http/events.ts';
import { Report } from '../../../agent/http/report.ts';
import { Counters } from '../../../agent/telemetry/counters.ts';
import { Totals } from '../../../agent/telemetry/totals.ts';
import { portOf } from '../../e2e/harness/ports.ts';
import { emptyStats } from '../../fixtures/stats.ts';
import { openCache, temporaryDirectory } from '../cache/support/temporary.ts';
import { cacheFiles, narinfoPath, type Sample, signedSample } from '../source/support/cache-files.ts';
import { ManualClock } from '../source/support/manual-clock.ts';
import { type Reply, ScriptedServer, text } from '../source/support/scripted-server.ts';
import { startAgent } from './agent-here.ts';
import { EventReader } from './event-reader.ts';
import { ask, privateKey, publicKeyText, sharedKey } from './lan-face.ts';

/** For what happens at once, unless the machine is busy. */
const soon = { timeout: 15_000 };
const key = { secret: sharedKey, trusted: new Map() };

/** A cache on loopback with these paths, until the test has ended. */
async function serving(
  samples: readonly Sample[],
  spoil: (path: string) => Reply | undefined = () => undefined,
) {
  const files = cacheFiles(samples);
  const server = await ScriptedServer.start((request, response) => {
    const path = request.url ?? '';
    const file = files.get(path);
    const other = spoil(path);
    if (other !== undefined) return other(request, response);
    if (file === undefined) return text(404)(request, response);
    response.writeHead(200, { 'content-length': file.length }).end(file);
  });
  onTestFinished(() => server.stop());
  return server.url.href.replace(/\/$/, '');
}

/** Takes a path from an agent, as Nix would. */
async function take(port: number, one: Sample): Promise<void> {
  const narinfo = (await ask(port, narinfoPath(one))).body.toString();
  const url = /^URL: (.*)$/m.exec(narinfo)?.[1] ?? '';
  expect((await ask(port, `/${url}`)).status).toBe(200);
}

describe('GET /events', () => {
  it('gives a whole snapshot first, in the documented form', async () => {
    const port = await startAgent(['substituters', '']);
    await ask(port, '/00000000000000000000000000000000.narinfo');
    const reader = await EventReader.open(port);
    expect(reader.response.headers['content-type']).toBe('text/event-stream');
    await expect.poll(() => reader.ofType('snapshot').length, soon).toBe(1);
    const [snapshot] = reader.ofType('snapshot');
    expect(snapshot?.stats.schema).toBe(2);
    expect(snapshot?.recent.requests).toMatchObject([
      { kind: 'narinfo', path: '00000000000000000000000000000000', result: 'absent', source: null },
    ]);
  });

  it('tells of requests, transfers, sources and counters as they change', async () => {
    const one = signedSample(key, { name: 'one', compression: 'zstd' });
    const upstream = await serving([one]);
    const port = await startAgent(['substituters', upstream], ['trusted-public-keys', publicKeyText]);
    const reader = await EventReader.open(port);
    await expect.poll(() => reader.ofType('snapshot').length, soon).toBe(1);
    await take(port, one);
    await expect.poll(() => reader.ofType('counters').at(-1)?.sinceStart.nar.misses, soon).toBe(1);
    const path = `/nix/store/${one.narinfo.storePath.base}`;
    expect(reader.ofType('request').map(({ request }) => request)).toMatchObject([
      { method: 'GET', kind: 'narinfo', path, result: 'miss', source: upstream, origin: 'upstream' },
      { kind: 'nar', path, result: 'miss', source: upstream, bytes: one.narinfo.narSize, reason: null },
    ]);
    expect(reader.ofType('transfer-end')).toEqual([
      { type: 'transfer-end', storePath: path, result: 'verified' },
    ]);
    await expect.poll(() => reader.ofType('cache').at(-1)?.cache.nars, soon).toBe(1);
    expect(reader.ofType('counters').at(-1)?.totals.bytes.fromUpstream).toBeGreaterThan(one.file.length);
  });

  it('shows a transfer on its way', async () => {
    const one = signedSample(key, { name: 'one', contents: Buffer.alloc(100_000, 'x') });
    const rest = Promise.withResolvers<void>();
    const upstream = await serving([one], (path) =>
      path !== `/${one.narinfo.url}`
        ? undefined
        : async (_, response) => {
            response.writeHead(200, { 'content-length': one.file.length });
            response.write(one.file.subarray(0, 50_000));
            await rest.promise;
            response.end(one.file.subarray(50_000));
          },
    );
    const port = await startAgent(['substituters', upstream], ['trusted-public-keys', publicKeyText]);
    const reader = await EventReader.open(port);
    const taken = take(port, one);
    const storePath = `/nix/store/${one.narinfo.storePath.base}`;
    await expect
      .poll(() => reader.ofType('transfer').at(-1)?.transfer, soon)
      .toMatchObject({
        storePath,
        received: 50_000,
        total: one.narinfo.narSize,
        source: upstream,
        clients: 1,
      });
    rest.resolve();
    await taken;
    await expect.poll(() => reader.ofType('transfer-end').length, soon).toBe(1);
  });

  it('tells what was not believed, and why', async () => {
    const forged = signedSample({ secret: privateKey, trusted: new Map() });
    const upstream = await serving([forged]);
    const port = await startAgent(['substituters', upstream], ['trusted-public-keys', publicKeyText]);
    const reader = await EventReader.open(port);
    expect((await ask(port, narinfoPath(forged))).status).toBe(404);
    await expect.poll(() => reader.ofType('request').length, soon).toBe(1);
    const reason = expect.stringMatching(/trusted key/);
    expect(reader.ofType('request')[0]?.request).toMatchObject({ result: 'rejected', reason });
    expect(reader.ofType('rejection')[0]?.rejection).toMatchObject({
      kind: 'narinfo',
      path: `/nix/store/${forged.narinfo.storePath.base}`,
      source: upstream,
      reason,
    });
  });

  it('tells of peers and sources that come and go', async () => {
    const server = await ScriptedServer.start((request, response) => {
      if (request.url === '/nix-cache-info') response.end('StoreDir: /nix/store\n');
      else response.writeHead(404).end();
    });
    const url = server.url.href;
    const port = await startAgent(['substituters', ''], ['lan.peers', url]);
    await expect
      .poll(async () => (await ask(port, '/stats')).body.includes('"state":"home"'), soon)
      .toBe(true);
    const reader = await EventReader.open(port);
    await server.stop();
    // Asked, it turns out to be away.
    await ask(port, '/00000000000000000000000000000000.narinfo');
    await expect.poll(() => reader.ofType('peer').at(-1)?.peer, soon).toMatchObject({ url, state: 'down' });
    await expect.poll(() => reader.ofType('source-gone').map(({ id }) => `${id}/`), soon).toEqual([url]);
    await expect.poll(() => reader.ofType('network').at(-1)?.network.state, soon).toMatch(/away|offline/);
  });

  it('serves sixteen clients at once, and is for this machine', async () => {
    const port = await startAgent(['substituters', '']);
    const readers = await Promise.all(Array.from({ length: 16 }, () => EventReader.open(port)));
    for (const { response } of readers) expect(response.statusCode).toBe(200);
    expect((await ask(port, '/events')).status).toBe(503);
    readers[0]?.response.destroy();
    await expect.poll(async () => (await ask(port, '/events', { method: 'HEAD' })).status, soon).toBe(200);
    expect((await ask(port, '/events', { headers: { host: 'rebound.example' } })).status).toBe(403);
    expect((await ask(port, '/events', { method: 'POST' })).status).toBe(405);
  });
});

describe('the stream of events', () => {
  /** Events of the test's own, by its clock. */
  async function scene() {
    const clock = new ManualClock();
    const calls: string[] = [];
    let news: StatsEvent[] = [];
    const changes = {
      begin: () => void calls.push('begin'),
      end: () => void calls.push('end'),
      take: () => news,
    };
    const report = { stats: emptyStats, recent: () => ({ requests: [], rejections: [] }) };
    const events = new Events(report, changes, clock);
    const server = createServer((request, response) => events.serve(request, response)).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const port = portOf(server);
    const tell = (event: StatsEvent) => {
      news = [event];
    };
    return { clock, calls, tell, port };
  }

  it('runs only while somebody listens', async () => {
    const { clock, calls, port } = await scene();
    const first = await EventReader.open(port);
    const second = await EventReader.open(port);
    expect(calls).toEqual(['begin']);
    first.response.destroy();
    second.response.destroy();
    await expect.poll(() => calls, soon).toEqual(['begin', 'end']);
    await expect(Promise.race([clock.timer(0, 1e9), Promise.resolve('none')])).resolves.toBe('none');
  });

  it('drops a client that reads too slowly, and no other', async () => {
    const { clock, tell, port } = await scene();
    const reader = await EventReader.open(port);
    const request = get({ host: '127.0.0.1', port, agent: false });
    request.on('error', () => {});
    const [slow]: IncomingMessage[] = await once(request, 'response');
    slow?.socket.pause();
    const closed = once(request, 'close');
    tell({ type: 'source-gone', id: 'x'.repeat(1024 * 1024) });
    for (let n = 1; n <= 20; n += 1) {
      await clock.pass(250);
      await expect.poll(() => reader.ofType('source-gone').length, soon).toBe(n);
    }
    slow?.socket.resume();
    slow?.resume();
    await closed;
    expect(reader.response.destroyed).toBe(false);
  });

  it('tells of so many requests as can be read; the counters have all', async () => {
    const counters = new Counters();
    const keep = { load: async () => undefined, save: async () => true };
    const report = new Report({
      storeDir: '/nix/store',
      network: { online: true, addresses: [] },
      pool: { all: [] },
      cache: await openCache({ dir: await temporaryDirectory() }),
      maxBytes: 0,
      counters,
      totals: new Totals({ counters, keep }),
      transfers: { running: [] },
      discovery: () => undefined,
    });
    const changes = new Changes(report, counters);
    changes.begin();
    const request = { method: 'GET', kind: 'narinfo', path: 'x', result: 'absent', bytes: 0, ms: 1 } as const;
    for (let n = 0; n < 1_000; n += 1) counters.local({ ...request, giver: undefined, reason: undefined });
    const all = [changes.take(), changes.take(), changes.take(), changes.take()].flat();
    expect(all.filter(({ type }) => type === 'request').length).toBe(25);
    expect(all.find(({ type }) => type === 'counters')).toMatchObject({
      sinceStart: { narinfo: { requests: 1_000, absent: 1_000 } },
    });
    changes.end();
    expect(counters.listener).toBeUndefined();
  });
});
