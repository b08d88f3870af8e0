import { describe, expect, it } from 'vitest';
import { type Guard, guardLink } from '../../../discovery/guards.ts';
import { FakeClock } from './fake-clock.ts';
import { heldMemory } from './held-memory.ts';
import { announcement, name, pointer, ptr, query, question, record, response, srv, txt } from './wire.ts';

const link = { address: '192.168.0.7', netmask: '255.255.255.0' };
const pi = { address: '192.168.0.42', port: 5353 };
const good = announcement('Pi', 6271);

function guarded(): { guard: Guard; clock: FakeClock } {
  const clock = new FakeClock();
  return { guard: guardLink(link, clock), clock };
}

function admits(message: Buffer, origin = pi): boolean {
  return guarded().guard.admits(Buffer.from(message), origin);
}

describe('the guard of a link', () => {
  it('admits an announcement and a query, from others and from this machine', () => {
    expect(admits(good)).toBe(true);
    expect(admits(query([question('_nix-cache._tcp.local')]))).toBe(true);
    expect(admits(good, { address: link.address, port: 5353 })).toBe(true);
  });

  it.each([
    ['another source port', { address: '192.168.0.42', port: 5354 }],
    ['another network', { address: '192.168.1.42', port: 5353 }],
    ['the internet', { address: '8.8.8.8', port: 5353 }],
    ['loopback', { address: '127.0.0.1', port: 5353 }],
    ['the broadcast address', { address: '192.168.0.255', port: 5353 }],
    ['the network address', { address: '192.168.0.0', port: 5353 }],
    ['no address at all', { address: 'fe80::1', port: 5353 }],
  ])('refuses packets from %s', (_what, origin) => {
    expect(admits(good, origin)).toBe(false);
  });

  it('takes either end of a point-to-point network of two', () => {
    const guard = guardLink({ address: '10.0.0.0', netmask: '255.255.255.254' }, new FakeClock());
    expect(guard.admits(Buffer.from(good), { address: '10.0.0.1', port: 5353 })).toBe(true);
    expect(guard.admits(Buffer.from(good), { address: '10.0.0.2', port: 5353 })).toBe(false);
  });

  it('refuses packets above 9,000 bytes', () => {
    const padded = (size: number) => Buffer.concat([good, Buffer.alloc(size - good.length)]);
    expect(admits(padded(9_000))).toBe(true);
    expect(admits(padded(9_001))).toBe(false);
  });

  it('refuses packets above 160 questions and records', () => {
    const many = (count: number) =>
      response(...Array.from({ length: count }, () => ptr('_http._tcp.local', pointer(12))));
    expect(admits(many(160))).toBe(true);
    expect(admits(many(161))).toBe(false);
    const asked = Array.from({ length: 161 }, () => question('_http._tcp.local'));
    expect(admits(query(asked))).toBe(false);
  });

  it('refuses what ends before it should', () => {
    for (let length = 0; length < good.length; length += 1)
      expect(admits(good.subarray(0, length))).toBe(false);
  });

  it('refuses chains of pointers, which keep the decoder busy, wherever a name may stand', () => {
    const chain = (length: number) =>
      record('a', 'NS', Buffer.concat(Array.from({ length }, (_, i) => hop(i))));
    const hop = (i: number) => pointer(i === 0 ? 12 : 25 + 2 * (i - 1));
    const end = (length: number) => hop(length);
    for (const packet of [
      (length: number) => response(chain(length), ptr(end(length), 'x.local')),
      (length: number) => response(chain(length), ptr('x.local', end(length))),
      (length: number) => response(chain(length), srv('x.local', 1, end(length))),
    ]) {
      expect([1, 15, 16, 3_000].map((length) => admits(packet(length)))).toEqual([true, true, false, false]);
    }
  });

  it('admits the pointers of a packet as full as may be', () => {
    const honest = Array.from({ length: 159 }, (_, i) =>
      ptr(pointer(12), Buffer.concat([name(`n${i}`).subarray(0, -1), pointer(12)])),
    );
    expect(admits(response(ptr('_http._tcp.local', 'x._http._tcp.local'), ...honest))).toBe(true);
  });

  it('refuses names above 255 bytes', () => {
    const long = (labels: number) => Array.from({ length: labels }, () => 'x'.repeat(50)).join('.');
    expect([4, 6].map((labels) => admits(response(ptr(long(labels), 'x.local'))))).toEqual([true, false]);
  });

  it('disarms records of other types, and texts beyond 4 KiB, and leaves all else as it was', () => {
    const { guard } = guarded();
    const parts = [
      txt('x._http._tcp.local', ['nix-cache=1']),
      record('x.local', 'NSEC', Buffer.concat([name('x.local'), Buffer.alloc(34, 0xff)])),
      record('x.local', 'OPT', Buffer.from([1, 2, 3])),
      txt(
        'x._http._tcp.local',
        Array.from({ length: 17 }, () => 'x'.repeat(250)),
      ),
    ];
    const message = response(...parts);
    const before = Buffer.from(message);
    expect(guard.admits(message, pi)).toBe(true);
    const changed = [...message.keys()].filter((at) => message[at] !== before[at]);
    const typeAt = (part: number) => 12 + Buffer.concat(parts.slice(0, part)).length + (part === 3 ? 20 : 9);
    expect(changed).toEqual([1, 2, 3].flatMap((part) => [typeAt(part), typeAt(part) + 1]));
    for (const part of [1, 2, 3]) expect(message.readUInt16BE(typeAt(part))).toBe(0xff00);
  });

  it('admits 40 packets a second of one source, and of another all the same', async () => {
    const { guard, clock } = guarded();
    const burst = (origin: typeof pi, count: number) =>
      Array.from({ length: count }, () => guard.admits(Buffer.from(good), origin)).filter(Boolean).length;
    expect(burst(pi, 100)).toBe(40);
    expect(burst({ ...pi, address: '192.168.0.43' }, 10)).toBe(10);
    await clock.pass(500);
    expect(burst(pi, 100)).toBe(20);
  });

  it('remembers 256 sources at most', () => {
    const guard = guardLink({ address: '10.0.0.1', netmask: '255.0.0.0' }, new FakeClock());
    const before = heldMemory();
    for (let i = 0; i < 100_000; i += 1) {
      guard.admits(good, { address: `10.${1 + (i >> 16)}.${(i >> 8) & 0xff}.${i & 0xff}`, port: 5353 });
    }
    expect(heldMemory() - before).toBeLessThan(2 ** 20);
  });

  it('admits 200 packets a second of all sources together, however many there are', async () => {
    const { guard, clock } = guarded();
    const flood = () => {
      let count = 0;
      for (let i = 0; i < 10_000; i += 1) {
        const origin = { address: `192.168.0.${1 + (i % 254)}`, port: 5353 };
        if (guard.admits(Buffer.from(good), origin)) count += 1;
      }
      return count;
    };
    expect(flood()).toBe(200);
    await clock.pass(1_000);
    expect(flood()).toBe(200);
  });
});
