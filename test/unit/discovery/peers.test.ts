import { describe, expect, it } from 'vitest';
import { createPeers } from '../../../discovery/peers.ts';
import type { Announced } from '../../../discovery/records.ts';
import type { Verdict } from '../../../discovery/verify.ts';
import { FakeClock } from './fake-clock.ts';

function cache(source: string, port = 6271, label = source): Announced {
  return { source, port, label, type: '_nix-cache._tcp', txt: new Map() };
}

const pi = cache('192.168.0.42');
const piUrl = 'http://192.168.0.42:6271/';

function table() {
  const clock = new FakeClock();
  const told: string[] = [];
  const calls: { url: string; at: number; signal: AbortSignal }[] = [];
  let answer: (url: string, signal: AbortSignal) => Promise<Verdict> = async () => ({ ok: true });
  const began = clock.now();
  const peers = createPeers({
    clock,
    verify: (url, signal) => {
      calls.push({ url, at: Math.round(clock.now() - began), signal });
      return answer(url, signal);
    },
    isNear: (address) => address.startsWith('192.168.0.'),
  });
  peers.on('up', ({ url }) => told.push(`up ${url}`));
  peers.on('down', ({ url, reason }) => told.push(`down ${url}: ${reason}`));
  return {
    clock,
    peers,
    told,
    calls,
    times: () => calls.map(({ at }) => at),
    reply: (next: typeof answer) => {
      answer = next;
    },
  };
}

const refused = async (): Promise<Verdict> => ({ ok: false, reason: 'refused' });
const silent = () => new Promise<Verdict>(() => {});

describe('the table of peers', () => {
  it('calls an announced peer at once, by address and port alone', async () => {
    const { clock, peers, calls } = table();
    peers.announced({
      ...pi,
      txt: new Map([
        ['path', '/../admin'],
        ['url', 'http://127.0.0.1:22/'],
      ]),
    });
    expect(peers.list()).toMatchObject([{ url: piUrl, state: 'checking', reason: 'not verified yet' }]);
    await clock.pass(1);
    expect(calls.map(({ url }) => url)).toEqual([piUrl]);
    expect(peers.list()).toMatchObject([{ state: 'up', reason: undefined, lastSeen: clock.wall() - 1 }]);
  });

  it('verifies a peer that is up each 10 s, and spares it that while requests go well', async () => {
    const { clock, peers, times } = table();
    peers.announced(pi);
    await clock.pass(20_000);
    expect(times()).toEqual([0, 10_000, 20_000]);
    for (let i = 0; i < 20; i += 1) {
      peers.vouch(piUrl);
      await clock.pass(5_000);
    }
    expect(times().length).toBe(3);
  });

  it('tries a peer that is down again after 1, 2, 4 … 60 s, and finds it', async () => {
    const { clock, peers, times, told, reply } = table();
    reply(refused);
    peers.announced(pi);
    await clock.pass(200_000);
    expect(times().map((at, i, all) => (at - (all[i - 1] ?? 0)) / 1_000)).toEqual([
      0, 1, 2, 4, 8, 16, 32, 60, 60,
    ]);
    expect(told).toEqual([]);
    reply(async () => ({ ok: true }));
    await clock.pass(60_000);
    expect(told).toEqual([`up ${piUrl}`]);
  });

  it('tries a peer that is down again as soon as it is announced', async () => {
    const { clock, peers, told, reply } = table();
    reply(refused);
    peers.announced(pi);
    await clock.pass(100_000);
    reply(async () => ({ ok: true }));
    peers.announced(pi);
    await clock.pass(1);
    expect(told).toEqual([`up ${piUrl}`]);
  });

  it('verifies at once when a request failed, and tells once that the peer is down', async () => {
    const { clock, peers, told, times, reply } = table();
    peers.announced(pi);
    await clock.pass(5_000);
    reply(refused);
    for (let i = 0; i < 50; i += 1) peers.doubt(piUrl);
    await clock.pass(1);
    expect([told, times()]).toEqual([
      [`up ${piUrl}`, `down ${piUrl}: refused`],
      [0, 5_000],
    ]);
  });

  it('looks once more when a doubt came up while it was verifying', async () => {
    const { clock, peers, told, times, reply } = table();
    peers.announced(pi);
    await clock.pass(5_000);
    let settle: (verdict: Verdict) => void = () => {};
    reply(() => new Promise((resolve) => (settle = resolve)));
    peers.doubt(piUrl);
    await clock.pass(100);
    peers.doubt(piUrl);
    settle({ ok: true });
    reply(refused);
    await clock.pass(1_000);
    expect([told.at(-1), times()]).toEqual([`down ${piUrl}: refused`, [0, 5_000, 6_100]]);
  });

  it('gives a peer 2 s to answer, and takes no answer after that', async () => {
    const { clock, peers, told, calls, reply } = table();
    peers.announced(pi);
    await clock.pass(1_000);
    let late: (verdict: Verdict) => void = () => {};
    reply(() => new Promise((resolve) => (late = resolve)));
    peers.doubt(piUrl);
    await clock.pass(2_000);
    late({ ok: true });
    await clock.pass(10);
    expect(told).toEqual([`up ${piUrl}`, `down ${piUrl}: no answer within 2 s`]);
    expect(calls[1]?.signal.aborted).toBe(true);
  });

  it('counts an exception of the verification as a failure', async () => {
    const { clock, peers, reply } = table();
    reply(() => Promise.reject(new Error('ECONNRESET')));
    peers.announced(pi);
    await clock.pass(1);
    expect(peers.list()).toMatchObject([{ state: 'down', reason: 'ECONNRESET' }]);
  });

  it('verifies 8 newcomers at once, and lets no proven peer wait for them', async () => {
    const { clock, peers, calls, reply } = table();
    peers.announced(pi);
    await clock.pass(5_000);
    reply(silent);
    for (let host = 100; host < 116; host += 1) peers.announced(cache(`192.168.0.${host}`));
    await clock.pass(1);
    expect(calls.length).toBe(1 + 8);
    peers.doubt(piUrl);
    await clock.pass(1);
    expect(calls.at(-1)?.url).toBe(piUrl);
    await clock.pass(2_000);
    expect(new Set(calls.map(({ url }) => url)).size).toBe(1 + 16);
  });

  it('holds 4 peers at one address and 32 in all, and gives up none that is up for a new one', async () => {
    const { clock, peers } = table();
    for (let port = 1; port < 100; port += 1) peers.announced(cache('192.168.0.9', port));
    await clock.pass(10_000);
    expect(peers.list().length).toBe(4);
    for (let host = 10; host < 250; host += 1) {
      peers.announced(cache(`192.168.0.${host}`));
      await clock.pass(300);
    }
    expect(peers.list().length).toBe(32);
    expect(peers.list().every(({ state }) => state === 'up')).toBe(true);
    expect(peers.isUp('http://192.168.0.9:1/')).toBe(true);
    expect(peers.isUp('http://192.168.0.249:6271/')).toBe(false);
  });

  it('makes room for a new peer where others are down', async () => {
    const { clock, peers, told, reply } = table();
    reply(refused);
    for (let host = 10; host < 100; host += 1) {
      peers.announced(cache(`192.168.0.${host}`));
      await clock.pass(300);
    }
    expect(peers.list().length).toBe(32);
    reply(async () => ({ ok: true }));
    peers.announced(cache('192.168.0.200'));
    await clock.pass(10);
    expect(told).toContain('up http://192.168.0.200:6271/');
    expect(peers.list().length).toBe(32);
  });

  it('takes in 5 newcomers a second, however many are announced', async () => {
    const { clock, peers, calls, reply } = table();
    reply(refused);
    for (let second = 0; second < 10; second += 1) {
      for (let i = 0; i < 1_000; i += 1)
        peers.announced(cache(`192.168.0.${1 + (i % 250)}`, 1 + second * 1_000 + i));
      await clock.pass(1_000);
    }
    expect(new Set(calls.map(({ url }) => url)).size).toBeLessThanOrEqual(16 + 5 * 10);
  });

  it('lets announcements of peers that are down bring about no more calls than newcomers may', async () => {
    const { clock, peers, calls, reply } = table();
    reply(refused);
    for (let host = 10; host < 42; host += 1) {
      peers.announced(cache(`192.168.0.${host}`));
      await clock.pass(300);
    }
    await clock.pass(120_000);
    calls.length = 0;
    for (let i = 0; i < 100; i += 1) {
      for (let host = 10; host < 42; host += 1) peers.announced(cache(`192.168.0.${host}`));
      await clock.pass(100);
    }
    expect(calls.length).toBeLessThanOrEqual(16 + 5 * 10 + 32);
  });

  it('doubts the old address of a name that has a new one', async () => {
    const { clock, peers, told, reply } = table();
    peers.announced(cache('192.168.0.42', 6271, 'Pi'));
    await clock.pass(5_000);
    reply(async (url) => (url === piUrl ? { ok: false, reason: 'refused' } : { ok: true }));
    peers.announced(cache('192.168.0.99', 6271, 'Pi'));
    await clock.pass(10);
    expect(told.slice(1).sort()).toEqual([`down ${piUrl}: refused`, 'up http://192.168.0.99:6271/']);
  });

  it('never calls an announced peer that is on no network of this machine', async () => {
    const { clock, peers, calls } = table();
    peers.announced(cache('127.0.0.1', 22));
    peers.announced(cache('169.254.169.254', 80));
    await clock.pass(100_000);
    expect(calls).toEqual([]);
    expect(peers.list().map(({ state }) => state)).toEqual(['down', 'down']);
  });

  it('forgets an announced peer after ten minutes without a sign of life, a static one never', async () => {
    const { clock, peers, reply } = table();
    reply(refused);
    peers.announced(pi);
    peers.addStatic('http://cache.example/');
    await clock.pass(599_000);
    expect(peers.list().length).toBe(2);
    await clock.pass(62_000);
    expect(peers.list().map(({ url }) => url)).toEqual(['http://cache.example/']);
  });

  it('verifies everybody afresh on another network, giving up what was under way', async () => {
    const { clock, peers, told, calls, reply } = table();
    peers.announced(pi);
    peers.addStatic('http://cache.example/');
    await clock.pass(5_000);
    reply(silent);
    peers.doubt(piUrl);
    await clock.pass(10);
    reply(async () => ({ ok: true }));
    peers.moved((address) => address === pi.source);
    expect(peers.list().map(({ state }) => state)).toEqual(['checking', 'up']);
    await clock.pass(10);
    expect(told.slice(2)).toEqual([`down ${piUrl}: the network changed`, `up ${piUrl}`]);
    expect(calls[2]?.signal.aborted).toBe(true);
    expect(calls.slice(3).map(({ url }) => url)).toEqual([piUrl, 'http://cache.example/']);
  });

  it('tries peers that were long down as eagerly as at first on another network', async () => {
    const { clock, peers, times, reply } = table();
    reply(refused);
    peers.addStatic('http://cache.example/');
    await clock.pass(300_000);
    const before = times().length;
    peers.moved(() => false);
    await clock.pass(3_000);
    expect(times().slice(before)).toEqual([300_000, 301_000, 303_000]);
  });

  it('keeps a static peer static when it is announced, too', async () => {
    const { clock, peers } = table();
    peers.addStatic('http://192.168.0.42:6271');
    peers.announced(cache('192.168.0.42', 6271, 'Pi'));
    await clock.pass(10);
    expect(peers.list()).toMatchObject([{ url: piUrl, name: 'Pi', origin: 'static', state: 'up' }]);
  });

  it('ends everything when stopped', async () => {
    const { clock, peers, told, calls, reply } = table();
    peers.announced(pi);
    await clock.pass(5_000);
    reply(silent);
    peers.doubt(piUrl);
    await clock.pass(1);
    peers.stop();
    await clock.pass(100_000);
    expect([clock.pending, told, calls.length]).toEqual([0, [`up ${piUrl}`], 2]);
    expect(calls[1]?.signal.aborted).toBe(true);
  });
});
