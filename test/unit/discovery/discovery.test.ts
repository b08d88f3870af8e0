import { afterEach, describe, expect, it } from 'vitest';
import { createDiscovery, type DiscoveryOptions } from '../../../discovery/discovery.ts';
import { watchNetwork } from '../../../discovery/network.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeLink } from './fake-link.ts';
import { ethernet, type Machine, machine } from './machines.ts';
import { announcement, ptr, response, srv, txt } from './wire.ts';

const piUrl = 'http://192.168.0.42:6271/';
const running: Machine[] = [];

afterEach(async () => {
  const all = running.splice(0);
  for (const { network } of all) network.stop();
  await Promise.all(all.map(({ discovery }) => discovery.stop()));
});

function scene() {
  const clock = new FakeClock();
  const link = new FakeLink();
  const caches = new Set([piUrl]);
  const boot = (address: string, options: Partial<DiscoveryOptions> = {}): Machine => {
    const booted = machine(clock, link, address, caches, options);
    running.push(booted);
    booted.network.start();
    booted.discovery.start();
    return booted;
  };
  const pi = () => boot('192.168.0.42', { own: { id: 'pi42', port: 6271, hostName: 'pi' } });
  const laptop = (options: Partial<DiscoveryOptions> = {}) => boot('192.168.0.7', options);
  return { clock, link, caches, boot, pi, laptop };
}

describe('discovery', () => {
  it('finds a cache that was there before, and one that comes later, within half a second', async () => {
    const { clock, caches, boot, pi, laptop } = scene();
    pi();
    await clock.pass(60_000);
    const finder = laptop();
    await clock.pass(500);
    expect(finder.told).toEqual([`up ${piUrl}`]);
    const [peer] = finder.discovery.peers;
    expect(peer).toMatchObject({ name: 'pi narrowcast pi42', origin: '_nix-cache._tcp', state: 'up' });
    expect([...(peer?.announced ?? [])]).toEqual([
      ['txtvers', '1'],
      ['path', '/'],
      ['prio', '30'],
      ['id', 'pi42'],
    ]);
    caches.add('http://192.168.0.43:6271/');
    boot('192.168.0.43', { own: { id: 'pi43', port: 6271 } });
    await clock.pass(500);
    expect(finder.up()).toEqual([piUrl, 'http://192.168.0.43:6271/']);
  });

  it('never takes itself for a peer, not even when something else announces it', async () => {
    const { clock, boot } = scene();
    const own = boot('192.168.0.42', { own: { id: 'pi42', port: 6271 } });
    boot('192.168.0.42', { own: { id: 'avahi', port: 6271 } });
    await clock.pass(30_000);
    expect(own.discovery.peers).toEqual([]);
    expect(own.verified).toEqual([]);
  });

  it('never takes itself for a peer when it hears its own id from elsewhere', async () => {
    const { clock, link, boot } = scene();
    const own = boot('192.168.0.42', { own: { id: 'pi42', port: 6271 } });
    await clock.pass(10);
    link.deliver(announcement('another name', 80, '_nix-cache._tcp', ['id=pi42']), '192.168.0.9');
    await clock.pass(30_000);
    expect(own.verified).toEqual([]);
  });

  it('asks at once for the rest of an answer that came in parts', async () => {
    const { clock, link, laptop } = scene();
    const finder = laptop();
    await clock.pass(100);
    const instance = 'Pi in parts._nix-cache._tcp.local';
    const before = link.sent.length;
    link.deliver(response(ptr('_nix-cache._tcp.local', instance)), '192.168.0.42');
    await clock.pass(100);
    const asked = link.sent.slice(before).map(({ message }) => message.toString('latin1'));
    expect(asked.length).toBe(1);
    // Once for SRV, once for TXT, and once as the pointer that is known.
    expect(asked[0]?.split('Pi in parts').length).toBe(1 + 3);
    link.deliver(response(srv(instance, 6271, 'pi.local'), txt(instance, [])), '192.168.0.42');
    await clock.pass(10);
    expect(finder.up()).toEqual([piUrl]);
  });

  it('asks everybody again when it has lost a peer, which may have moved and think itself known', async () => {
    const { clock, link, caches, laptop } = scene();
    const finder = laptop();
    await clock.pass(10);
    link.deliver(announcement('Pi', 6271), '192.168.0.42');
    await clock.pass(25_000);
    const names = (from: number) =>
      link.sent.slice(from).map(({ message }) => message.toString('latin1').includes('Pi'));
    expect(names(link.sent.length - 1)).toEqual([true]);
    const before = link.sent.length;
    caches.clear();
    finder.discovery.doubt(piUrl);
    await clock.pass(300);
    expect(names(before)).toEqual([false]);
  });

  it('verifies before use, and has no peer of one that is no cache for us', async () => {
    const { clock, caches, pi, laptop } = scene();
    caches.clear();
    pi();
    const finder = laptop();
    await clock.pass(500);
    expect(finder.told).toEqual([]);
    expect(finder.discovery.peers).toMatchObject([
      { url: piUrl, state: 'down', reason: 'connection refused' },
    ]);
    caches.add(piUrl);
    await clock.pass(2_000);
    expect(finder.told).toEqual([`up ${piUrl}`]);
  });

  it('hears the goodbye of a cache that stops, and finds it when it starts again', async () => {
    const { clock, caches, pi, laptop } = scene();
    const cache = pi();
    const finder = laptop();
    await clock.pass(2_000);
    caches.clear();
    await cache.discovery.stop();
    await clock.pass(1_000);
    expect(finder.told).toEqual([`up ${piUrl}`, `down ${piUrl}: connection refused`]);
    caches.add(piUrl);
    cache.discovery.start();
    await clock.pass(1_000);
    expect(finder.up()).toEqual([piUrl]);
  });

  it('follows a cache to its new address within four seconds', async () => {
    const { clock, caches, pi, laptop } = scene();
    const cache = pi();
    const finder = laptop();
    await clock.pass(20_000);
    caches.clear();
    caches.add('http://192.168.0.99:6271/');
    cache.plug(ethernet('192.168.0.99'));
    await clock.pass(4_000);
    expect(finder.told).toEqual([
      `up ${piUrl}`,
      'up http://192.168.0.99:6271/',
      `down ${piUrl}: connection refused`,
    ]);
  });

  it('is offline without a network, and begins by itself when there is one', async () => {
    const { clock, caches, link, pi } = scene();
    const finder = machine(clock, link, '192.168.0.7', caches);
    running.push(finder);
    finder.plug();
    finder.network.start();
    finder.discovery.start();
    pi();
    await clock.pass(30_000);
    expect([finder.discovery.links, finder.told]).toEqual([[], []]);
    finder.plug(ethernet('192.168.0.7'));
    await clock.pass(1_500);
    expect(finder.told).toEqual(['network interfaces', `up ${piUrl}`]);
  });

  it('gives up the peers of a network that it left at once, and calls none of them from elsewhere', async () => {
    const { clock, pi, laptop } = scene();
    pi();
    const finder = laptop();
    await clock.pass(2_000);
    finder.plug(ethernet('10.1.1.5'));
    await clock.pass(1_000);
    expect(finder.told).toEqual([`up ${piUrl}`, `down ${piUrl}: the network changed`, 'network interfaces']);
    const calls = finder.verified.length;
    await clock.pass(100_000);
    expect(finder.verified.length).toBe(calls);
    expect(finder.discovery.peers).toMatchObject([
      { state: 'down', reason: 'not on a network of this machine' },
    ]);
    finder.plug(ethernet('192.168.0.7'));
    await clock.pass(1_100);
    expect(finder.up()).toEqual([piUrl]);
  });

  it.each([
    ['an adapter re-plugged with the same address', ethernet('192.168.0.7', { index: 9 })],
    ['a cable pulled and plugged', ethernet('192.168.0.7', { carrierChanges: 3 })],
  ])('starts afresh after %s', async (_what, after) => {
    const { clock, link, pi, laptop } = scene();
    pi();
    const finder = laptop();
    await clock.pass(10_000);
    const before = link.sent.length;
    finder.plug(after);
    await clock.pass(1_100);
    expect(finder.up()).toEqual([piUrl]);
    expect(link.sent.slice(before).some(({ from }) => from === '192.168.0.7')).toBe(true);
    expect(link.joined).toBe(2);
  });

  it('starts afresh after sleep, for it may have woken elsewhere', async () => {
    const { clock, caches, pi, laptop } = scene();
    pi();
    const finder = laptop();
    await clock.pass(10_000);
    caches.clear();
    clock.sleep(3_600_000);
    await clock.pass(1_000);
    expect(finder.told).toEqual([`up ${piUrl}`, `down ${piUrl}: the network changed`, 'network resumed']);
  });

  it('speaks on each interface, and keeps the peers of one while another comes and goes', async () => {
    const { clock, pi, laptop } = scene();
    pi();
    const finder = laptop();
    await clock.pass(2_000);
    finder.plug(ethernet('192.168.0.7'), ethernet('10.0.0.3', { name: 'wlan0', index: 3 }));
    await clock.pass(1_500);
    expect(finder.discovery.links.map(({ name }) => name)).toEqual(['eth0', 'wlan0']);
    finder.plug(ethernet('192.168.0.7'));
    await clock.pass(1_500);
    expect(finder.told).toEqual([`up ${piUrl}`, 'network interfaces', 'network interfaces']);
    expect(finder.discovery.links.map(({ name }) => name)).toEqual(['eth0']);
  });

  it('keeps off tunnels, and bounds the number of interfaces', async () => {
    const { clock, laptop } = scene();
    const finder = laptop();
    finder.plug(ethernet('10.9.0.1', { tunnel: true }));
    await clock.pass(1_000);
    expect(finder.discovery.links).toEqual([]);
    finder.plug(
      ...Array.from({ length: 40 }, (_, i) => ethernet(`10.0.${i}.1`, { name: `eth${i}`, index: i })),
    );
    await clock.pass(1_000);
    expect(finder.discovery.links.length).toBe(16);
  });

  it('gives static peers the same path, and keeps verifying them when they are lost', async () => {
    const { clock, caches, laptop } = scene();
    const url = 'http://cache.example:8080/nix/';
    caches.add(url);
    const finder = laptop({ staticPeers: [url] });
    await clock.pass(100);
    expect(finder.discovery.peers).toMatchObject([
      { url, name: 'cache.example:8080', origin: 'static', state: 'up' },
    ]);
    caches.delete(url);
    finder.discovery.doubt(url);
    await clock.pass(250);
    expect(finder.told).toEqual([`up ${url}`, `down ${url}: connection refused`]);
    await clock.pass(3_600_000);
    caches.add(url);
    await clock.pass(60_000);
    expect(finder.up()).toEqual([url]);
  });

  it('sends nothing when it is told neither to browse nor to announce, but has its static peers', async () => {
    const { clock, link, laptop } = scene();
    const quiet = laptop({
      browse: false,
      announce: false,
      own: { id: 'quiet', port: 6271 },
      staticPeers: ['http://192.168.0.42:6271'],
    });
    await clock.pass(60_000);
    expect([link.sent, quiet.up()]).toEqual([[], [piUrl]]);
  });

  it('sends at most six packets a minute while nothing happens', async () => {
    const { clock, link, boot, caches } = scene();
    for (const host of [42, 43, 44, 45]) {
      caches.add(`http://192.168.0.${host}:6271/`);
      boot(`192.168.0.${host}`, { own: { id: `pi${host}`, port: 6271 } });
    }
    await clock.pass(60_000);
    link.sent.length = 0;
    await clock.pass(600_000);
    for (const host of [42, 43, 44, 45]) {
      const own = link.sent.filter(({ from }) => from === `192.168.0.${host}`);
      expect(own.length).toBeGreaterThanOrEqual(30);
      expect(own.length).toBeLessThanOrEqual(45);
    }
  });

  it('starts and stops as often as it is told, leaving no timer, socket or listener', async () => {
    const { clock, link, pi, laptop } = scene();
    const cache = pi();
    const finder = laptop();
    for (let i = 0; i < 3; i += 1) {
      finder.discovery.start();
      finder.discovery.start();
      await clock.pass(500);
      expect(finder.up()).toEqual([piUrl]);
      await Promise.all([finder.discovery.stop(), finder.discovery.stop()]);
      expect(finder.discovery.peers).toEqual([]);
    }
    await cache.discovery.stop();
    finder.network.stop();
    cache.network.stop();
    expect([clock.pending, link.joined]).toEqual([0, 0]);
  });

  it.each([
    ['the port is another program’s alone', 'bindFails', 'EADDRINUSE', 'port-taken'],
    ['the multicast group cannot be joined', 'joinFails', 'ENODEV', 'multicast-ENODEV'],
    ['nothing can be sent', 'sendFails', 'EPERM', 'multicast-EPERM'],
  ] as const)('runs on while %s, says so once, and recovers', async (_what, field, code, told) => {
    const { clock, link, pi, laptop } = scene();
    link[field] = code;
    const finder = laptop({ staticPeers: ['http://192.168.0.42:6271'] });
    await clock.pass(60_000);
    finder.plug(ethernet('192.168.0.7', { carrierChanges: 5 }));
    await clock.pass(60_000);
    expect(finder.told).toEqual([`up ${piUrl}`, `trouble ${told}`, 'network interfaces']);
    expect(finder.discovery.links[0]?.trouble?.code).toBe(told);
    link[field] = undefined;
    pi();
    await clock.pass(25_000);
    expect(finder.told.at(-1)).toBe(`recovered ${told}`);
    expect(finder.discovery.links[0]?.trouble).toBeUndefined();
  });

  it('takes a goodbye as hearsay: the cache stays up when it answers, and is looked at once more', async () => {
    const { clock, link, pi, laptop } = scene();
    pi();
    const finder = laptop();
    await clock.pass(500);
    const goodbye = link.sent.find(({ from }) => from === '192.168.0.42')?.message;
    if (!goodbye) throw new Error('the Pi said nothing');
    const calls = finder.verified.length;
    for (let i = 0; i < 20; i += 1) link.deliver(withTtl0(goodbye), '192.168.0.42');
    await clock.pass(2_100);
    expect(finder.told).toEqual([`up ${piUrl}`]);
    expect(finder.verified.length - calls).toBe(2);
  });

  it('refuses at once what could never be announced or called', () => {
    const network = watchNetwork({ readInterfaces: () => [] });
    const verify = async () => ({ ok: true as const });
    expect(() => createDiscovery({ network, verify, own: { id: 'a b', port: 1 } })).toThrow(/The id "a b"/);
    expect(() => createDiscovery({ network, verify, own: { id: 'abcd', port: 0 } })).toThrow(/The port 0/);
    const withPeer = (url: string) => () => createDiscovery({ network, verify, staticPeers: [url] });
    expect(withPeer('pi')).toThrow(/The peer "pi"/);
    expect(withPeer('file:///nix')).toThrow(/The peer "file/);
    expect(withPeer('http://me:secret@pi/')).toThrow(
      /^The peer at pi can't be used: put its password in a netrc/,
    );
  });
});

// Every TTL of an announcement is at the same place for the same names; found by its known values.
function withTtl0(message: Buffer): Buffer {
  const copy = Buffer.from(message);
  for (const ttl of [120, 4_500]) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(ttl);
    for (let at = copy.indexOf(bytes); at >= 0; at = copy.indexOf(bytes)) copy.fill(0, at, at + 4);
  }
  return copy;
}
