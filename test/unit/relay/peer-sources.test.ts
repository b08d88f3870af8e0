import { EventEmitter, once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { isHashPart } from '../../../agent/nix/store-path.ts';
import { PeerSources, type PeerTable, type UsablePeer } from '../../../agent/relay/peer-sources.ts';
import { SourceError } from '../../../agent/source/error.ts';
import { HttpSource } from '../../../agent/source/http-source.ts';
import type { Reach, Source } from '../../../agent/source/source.ts';
import { SourcePool } from '../../../agent/source/source-pool.ts';
import { createLogger } from '../../../agent/telemetry/log.ts';
import { FakeTime } from '../cache/support/fake-time.ts';

/** For what happens at once, unless the machine is busy. */
const soon = { timeout: 10_000 };

const storeDir = '/nix/store';
const hashPart = '0'.repeat(32);
const never = new AbortController().signal;

/** Peers come and go as the test says; what the relay doubts is noted. */
class Table
  extends EventEmitter<{ 'peer up': [UsablePeer]; 'peer down': [UsablePeer] }>
  implements PeerTable
{
  readonly doubted: string[] = [];
  readonly vouchedFor: string[] = [];

  doubt(url: string): void {
    this.doubted.push(url);
  }

  vouch(url: string): void {
    this.vouchedFor.push(url);
  }
}

async function following() {
  const log = await createLogger('silent');
  const pool = new SourcePool({ storeDir, log, online: () => true });
  const peers = new Table();
  const made: { source: Source; closed: boolean }[] = [];
  const time = new FakeTime();
  const sources = new PeerSources({
    pool,
    storeDir,
    log,
    clock: time,
    sourceOf: (url, configured, heard, quiet) => {
      const source = httpSource(url, 'lan', configured, heard, quiet);
      const entry = { source, closed: false };
      made.push(entry);
      const close = source.close.bind(source);
      source.close = () => {
        entry.closed = true;
        return close();
      };
      return source;
    },
  });
  sources.follow(peers);
  onTestFinished(() => pool.close());
  return { pool, peers, made, sources, time };
}

function httpSource(
  url: string,
  reach: Reach,
  configured: boolean,
  heard?: () => void,
  quiet?: () => void,
): Source {
  return new HttpSource({
    url: new URL(url),
    reach,
    configured,
    storeDir,
    connectTimeout: 1_000,
    lookupTimeout: 1_000,
    stalledTimeout: 10_000,
    identity: { via: '1.1 test', 'user-agent': 'test' },
    ...(heard && { heard }),
    ...(quiet && { quiet }),
  });
}

async function cacheThat(answers: RequestListener) {
  const server = createServer(answers).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connections: Socket[] = [];
  server.on('connection', (socket) => connections.push(socket));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  onTestFinished(stop);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const url = `http://127.0.0.1:${address.port}/`;
  return {
    url,
    id: url.slice(0, -1),
    stop,
    connections,
    peer: { url, name: 'a peer', origin: '_nix-cache._tcp', reason: undefined },
  };
}

const honest: RequestListener = ({ url }, response) => {
  if (url === '/nix-cache-info') response.end('StoreDir: /nix/store\nPriority: 7\n');
  else if (url === '/nar/endless') response.write('bytes');
  else response.writeHead(404).end();
};

it('a peer that is up is a source, whose priority and latency are known at once', async () => {
  const { pool, peers } = await following();
  const { peer, id } = await cacheThat(honest);
  peers.emit('peer up', peer);
  expect(pool.usable().map((source) => source.id)).toEqual([id]);
  await expect.poll(() => pool.get(id)?.health, soon).toBe('up');
  expect(pool.get(id)).toMatchObject({ priority: 7, source: { reach: 'lan', configured: false } });
  expect(pool.get(id)?.latency.value).toBeGreaterThan(0);
});

it('only a peer that the operator named is believed before its NARs are verified', async () => {
  const { pool, peers } = await following();
  const { peer, id } = await cacheThat(honest);
  peers.emit('peer up', { ...peer, origin: 'static' });
  expect(pool.get(id)?.source.configured).toBe(true);
});

it('a peer that is down is a source no more, and what it was giving ends at once', async () => {
  const { pool, peers, made } = await following();
  const { peer, id } = await cacheThat(honest);
  peers.emit('peer up', peer);
  const body = await pool.get(id)?.openNar('nar/endless', 0, never);
  const rest = (async () => {
    for await (const _ of body?.chunks ?? []) peers.emit('peer down', { ...peer, reason: 'no answer' });
  })();
  await expect(rest).rejects.toThrow(SourceError);
  expect(pool.all).toEqual([]);
  expect(made.map(({ closed }) => closed)).toEqual([true]);
});

it('a peer that comes and goes is one source while it is there, and none while it is not', async () => {
  const { pool, peers, made } = await following();
  const { peer, id } = await cacheThat(honest);
  for (let n = 0; n < 20; n += 1) {
    peers.emit('peer up', peer);
    expect(pool.all.map((source) => source.id)).toEqual([id]);
    peers.emit('peer down', peer);
    expect(pool.all).toEqual([]);
  }
  peers.emit('peer up', peer);
  await expect.poll(() => pool.get(id)?.health, soon).toBe('up');
  expect(made.filter(({ closed }) => !closed).length).toBe(1);
});

it('a substituter that is also a peer is not taken twice, and stays when the peer goes', async () => {
  const { pool, peers, made } = await following();
  const { peer, url, id } = await cacheThat(honest);
  const substituter = pool.add(httpSource(url, 'upstream', true));
  peers.emit('peer up', peer);
  expect(pool.get(id)).toBe(substituter);
  expect(made.map(({ closed }) => closed)).toEqual([true]);
  peers.emit('peer down', peer);
  expect(pool.get(id)).toBe(substituter);
  expect(substituter.usable).toBe(true);
});

it('a peer whose NAR does not move is doubted long before it counts as stalled', async () => {
  const { pool, peers } = await following();
  const stuck: RequestListener = (request, response) => {
    if (request.url?.startsWith('/nar/')) response.write('all that comes');
    else honest(request, response);
  };
  const { peer, id } = await cacheThat(stuck);
  peers.emit('peer up', peer);
  const left = new AbortController();
  const body = await pool.get(id)?.openNar('nar/stuck', 0, left.signal);
  const rest = (async () => {
    for await (const _ of body?.chunks ?? []) expect(peers.doubted).toEqual([]);
  })();
  await expect.poll(() => peers.doubted, soon).toEqual([peer.url]);
  left.abort(new Error('seen enough'));
  await expect(rest).rejects.toThrow('seen enough');
});

it('a peer that a request could not reach is doubted; one that answers is not, nor is a substituter', async () => {
  const { pool, peers } = await following();
  const [dying, healthy, upstream] = [
    await cacheThat(honest),
    await cacheThat(honest),
    await cacheThat(honest),
  ];
  peers.emit('peer up', dying.peer);
  peers.emit('peer up', healthy.peer);
  pool.add(httpSource(upstream.url, 'upstream', true));
  await expect.poll(() => pool.get(dying.id)?.health, soon).toBe('up');
  if (!isHashPart(hashPart)) throw new Error('no hash part');
  expect(await pool.get(healthy.id)?.narinfo(hashPart, never)).toBeUndefined();
  expect(peers.doubted).toEqual([]);

  upstream.stop();
  dying.stop();
  for (const { id } of [upstream, dying]) {
    await pool
      .get(id)
      ?.narinfo(hashPart, never)
      .catch(() => undefined);
  }
  expect(pool.get(upstream.id)?.health).toBe('down');
  expect(new Set(peers.doubted)).toEqual(new Set([dying.url]));
});

it('a peer that shows something else than a cache is doubted', async () => {
  const { pool, peers } = await following();
  const { peer, id, url } = await cacheThat((_, response) => response.end('<html>'));
  peers.emit('peer up', peer);
  await expect.poll(() => pool.get(id)?.health, soon).toBe('captive');
  expect(new Set(peers.doubted)).toEqual(new Set([url]));
  expect(pool.usable()).toEqual([]);
});

it('a peer that gives is vouched for, once a second at most', async () => {
  const { pool, peers, time } = await following();
  const { peer, id, url } = await cacheThat(honest);
  peers.emit('peer up', peer);
  await expect.poll(() => pool.get(id)?.health, soon).toBe('up');
  if (!isHashPart(hashPart)) throw new Error('no hash part');
  for (const [pause, times] of [
    [900, 0],
    [200, 1],
    [500, 1],
    [10_000, 2],
  ] as const) {
    time.pass(pause);
    for (let n = 0; n < 5; n += 1) await pool.get(id)?.source.narinfo(hashPart, never);
    expect(peers.vouchedFor).toEqual(Array.from({ length: times }, () => url));
  }
});

it('a peer is verified over a connection of its own until it is a source, then over one that is there', async () => {
  const { peers, pool, sources, made } = await following();
  const { peer, url, id, connections } = await cacheThat(honest);
  expect(await sources.verify(url, never)).toEqual({ ok: true });
  expect([connections.length, made.map(({ closed }) => closed)]).toEqual([1, [true]]);
  peers.emit('peer up', peer);
  await expect.poll(() => pool.get(id)?.health, soon).toBe('up');
  for (let n = 0; n < 20; n += 1) expect(await sources.verify(url, never)).toEqual({ ok: true });
  expect(made.length).toBe(2);
  expect(connections.length).toBeLessThanOrEqual(4);
});

it('a connection that is closed when a peer is verified says nothing against it', async () => {
  const { peers, pool, sources } = await following();
  let cuts = 0;
  const { peer, url, id } = await cacheThat((request, response) => {
    if (cuts-- > 0) request.socket.destroy();
    else honest(request, response);
  });
  peers.emit('peer up', peer);
  await expect.poll(() => pool.get(id)?.health, soon).toBe('up');
  cuts = 1;
  expect(await sources.verify(url, never)).toEqual({ ok: true });
  cuts = 2;
  await expect(sources.verify(url, never)).rejects.toThrow(SourceError);
});

it('a cache for another store is no peer', async () => {
  const { sources } = await following();
  const { url } = await cacheThat((_, response) => response.end('StoreDir: /other/store\n'));
  expect(await sources.verify(url, never)).toEqual({ ok: false, reason: 'its store is /other/store' });
  const nobody = await cacheThat((_, response) => response.end('StoreDir:\n<html>'));
  await expect(sources.verify(nobody.url, never)).rejects.toThrow(SourceError);
});

it('verifying ends with its signal', async () => {
  const { sources, made } = await following();
  const { url } = await cacheThat(() => {});
  const impatient = new AbortController();
  const verifying = sources.verify(url, impatient.signal);
  impatient.abort(new Error('too late'));
  await expect(verifying).rejects.toThrow('too late');
  expect(made.map(({ closed }) => closed)).toEqual([true]);
});
