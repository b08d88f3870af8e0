import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from './fake-clock.ts';
import { FakeLink } from './fake-link.ts';
import { heldMemory } from './held-memory.ts';
import { type Machine, machine } from './machines.ts';
import { announcement, name, pointer, ptr, query, question, record, response, srv, txt } from './wire.ts';

const pi = '192.168.0.42';
const piUrl = `http://${pi}:6271/`;
const piAnnouncement = announcement('Pi', 6271);
/** CPU time of this thread in ms: other programs on the machine don't lengthen it, as they do a delay. */
function cpuTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

const atOnce = 32; // packets that the kernel hands over before the event loop goes on

describe('a hostile LAN', () => {
  let clock: FakeClock;
  let link: FakeLink;
  let laptop: Machine;

  beforeEach(async () => {
    clock = new FakeClock();
    link = new FakeLink();
    laptop = machine(clock, link, '192.168.0.7', new Set([piUrl]), {
      own: { id: 'laptop', port: 6271, hostName: 'laptop' },
    });
    laptop.network.start();
    laptop.discovery.start();
    await clock.pass(10);
    link.deliver(piAnnouncement, pi);
    await clock.pass(5_000);
    expect(laptop.up()).toEqual([piUrl]);
  });

  afterEach(async () => {
    laptop.network.stop();
    await laptop.discovery.stop();
  });

  /** Lets packets arrive as fast as the event loop takes them, with time for the guards to admit every one. */
  async function flood(packets: readonly Buffer[], source: (i: number) => string): Promise<void> {
    const before = heldMemory();
    let longest = 0;
    for (let i = 0; i < packets.length; i += atOnce) {
      const began = cpuTime();
      for (const [j, packet] of packets.slice(i, i + atOnce).entries()) link.deliver(packet, source(i + j));
      longest = Math.max(longest, cpuTime() - began);
      await clock.pass(1_000);
    }
    const left = (heldMemory() - before) / 2 ** 20;
    process.stdout.write(
      `  ${packets.length} packets: event loop held for ${longest.toFixed(1)} ms, ${left.toFixed(1)} MiB left behind\n`,
    );
    expect(longest).toBeLessThanOrEqual(100);
    expect(left).toBeLessThanOrEqual(5);
  }

  /** The Pi was never down, and a new cache is still found. */
  async function expectUnharmed(): Promise<void> {
    await clock.pass(12_000);
    expect(laptop.told.filter((what) => what.includes(piUrl))).toEqual([`up ${piUrl}`]);
    expect(laptop.up()).toEqual([piUrl]);
    expect(laptop.discovery.peers.length).toBeLessThanOrEqual(32);
    await laptop.discovery.stop();
    laptop.discovery.start();
    await clock.pass(10);
    link.deliver(piAnnouncement, pi);
    await clock.pass(10);
    expect(laptop.up()).toEqual([piUrl]);
  }

  const hosts = (i: number) => `192.168.0.${100 + (i % 100)}`;

  it('20,000 fuzzed packets', async () => {
    const seed = Date.now() & 0x7fffffff;
    process.stdout.write(`  fuzzed with seed ${seed}\n`);
    const originals = [
      piAnnouncement,
      announcement('NAS', 80, '_http._tcp', ['nix-cache=1']),
      query(
        [question('_nix-cache._tcp.local'), question('_http._tcp.local')],
        [ptr('_http._tcp.local', 'x.local')],
      ),
      response(
        ptr('_http._tcp.local', Buffer.concat([name('x').subarray(0, 2), pointer(12)])),
        record(pointer(12), 'NSEC', Buffer.concat([pointer(12), Buffer.from([0, 2, 0x40, 1])])),
        record(Buffer.from([0]), 'OPT', Buffer.from([0, 4, 0, 2, 1, 2])),
      ),
    ];
    const edits = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
      minLength: 1,
      maxLength: 8,
    });
    const mutated = fc
      .tuple(fc.constantFrom(...originals), edits, fc.integer({ min: -40, max: 40 }))
      .map(([original, changes, growth]) => {
        const copy = Buffer.alloc(original.length + growth, 0xc0);
        original.copy(copy);
        for (const [where, byte] of changes) copy[Math.floor(where * (copy.length - 1))] = byte;
        return copy;
      });
    const noise = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
    const packets = fc.sample(fc.oneof({ weight: 4, arbitrary: mutated }, { weight: 1, arbitrary: noise }), {
      seed,
      numRuns: 20_000,
    });
    await flood(packets, hosts);
    await expectUnharmed();
  });

  it('packets of 63 KB with 4,500 services, and of the most that is let in', async () => {
    const services = (count: number) =>
      response(
        ptr('_nix-cache._tcp.local', 'x._nix-cache._tcp.local'),
        ...Array.from({ length: count - 1 }, (_, i) =>
          ptr(pointer(12), Buffer.concat([name(`${i}`).subarray(0, -1), pointer(12)])),
        ),
      );
    const huge = services(4_000);
    expect(huge.length).toBeGreaterThan(60_000);
    await flood(
      Array.from({ length: 640 }, (_, i) => (i % 2 ? huge : services(160))),
      hosts,
    );
    await expectUnharmed();
  });

  it('the packets that are the hardest to decode', async () => {
    const chain = Buffer.concat([pointer(12), ...Array.from({ length: 14 }, (_, i) => pointer(25 + 2 * i))]);
    const end = pointer(25 + 2 * 14);
    const hardest = [
      response(record('a', 'NS', chain), ...Array.from({ length: 159 }, () => ptr(end, end))),
      response(record('a.b', 'NSEC', Buffer.concat([name('c'), Buffer.alloc(8_900, 0xbf)]))),
      response(
        ...Array.from({ length: 4 }, () =>
          txt(
            'a.b',
            Array.from({ length: 2_048 }, () => ''),
          ),
        ),
      ),
      response(...Array.from({ length: 4 }, () => record('x._http._tcp.local', 'TXT', Buffer.alloc(2_048)))),
      query(Array.from({ length: 160 }, () => question('_nix-cache._tcp.local'))),
    ];
    await flood(
      Array.from({ length: 3_200 }, (_, i) => hardest[i % hardest.length] ?? piAnnouncement),
      hosts,
    );
    await expectUnharmed();
  });

  it('10,000 fake services', async () => {
    await flood(
      Array.from({ length: 10_000 }, (_, i) => announcement(`fake ${i}`, 1 + i)),
      (i) => `192.168.0.${50 + (i % 200)}`,
    );
    const calls = new Set(laptop.verified);
    process.stdout.write(`  of 10,000 fake services ${calls.size - 1} were called\n`);
    await expectUnharmed();
  });

  it('a flood that the guards cut short', async () => {
    const began = process.cpuUsage();
    for (let i = 0; i < 100_000; i += 1) link.deliver(piAnnouncement, hosts(i));
    const { user } = process.cpuUsage(began);
    process.stdout.write(
      `  100,000 packets in one second of the clock: ${Math.round(user / 1_000)} ms of CPU\n`,
    );
    await expectUnharmed();
  });

  it('services on hosts and ports that must never be called', async () => {
    const targets = ['localhost', '127.0.0.1', '169.254.169.254', '[::1]', '192.168.0.1'];
    for (const target of targets) {
      const instance = `evil-${target.replaceAll('.', '-')}._nix-cache._tcp.local`;
      link.deliver(
        response(
          ptr('_nix-cache._tcp.local', instance),
          srv(instance, 22, `${target}.local`),
          txt(instance, ['path=//169.254.169.254/', 'url=http://127.0.0.1:22/']),
          record(`${target}.local`, 'A', Buffer.from([127, 0, 0, 1])),
        ),
        '192.168.0.66',
      );
    }
    for (const source of ['127.0.0.1', '169.254.169.254', '10.0.0.1', '192.168.0.255', '224.0.0.251']) {
      link.deliver(announcement('evil', 22), source);
    }
    await clock.pass(120_000);
    expect(new Set(laptop.verified)).toEqual(new Set([piUrl, 'http://192.168.0.66:22/']));
    await expectUnharmed();
  });

  it('names with control characters', async () => {
    for (const label of [
      '\u001b[2Jcleared',
      'a\nb',
      'a\u0000b',
      'a\u202eb',
      Buffer.from([0xff, 0xfe]).toString('latin1'),
    ]) {
      link.deliver(announcement(label, 6271), '192.168.0.66');
    }
    const raw = announcement('xx', 6271);
    link.deliver(
      Buffer.from(raw.toString('latin1').replaceAll('\u0002xx', '\u0002\xff\xfe'), 'latin1'),
      '192.168.0.66',
    );
    await clock.pass(1_000);
    expect(laptop.discovery.peers.map((peer) => peer.name).filter((it) => it !== 'Pi')).toEqual(['ÿþ']);
    await expectUnharmed();
  });

  it('goodbyes that the cache never said, and its services under other ports', async () => {
    const instance = 'Pi._nix-cache._tcp.local';
    const goodbye = response(ptr('_nix-cache._tcp.local', instance, 0), srv(instance, 6271, 'pi.local', 0));
    for (let second = 0; second < 20; second += 1) {
      for (let i = 0; i < 10; i += 1) {
        link.deliver(goodbye, pi);
        link.deliver(goodbye, '192.168.0.66');
        link.deliver(announcement('Pi', 22), '192.168.0.66');
        link.deliver(announcement('Pi', 1 + second), pi);
      }
      await clock.pass(1_000);
    }
    expect(laptop.told).toEqual([`up ${piUrl}`]);
    const calls = laptop.verified.filter((url) => url === piUrl).length;
    expect(calls).toBeLessThanOrEqual(4 * 20);
    await expectUnharmed();
  });

  it('crowds of askers and half-announced services draw few packets from us', async () => {
    const before = link.sent.length;
    for (let second = 0; second < 60; second += 1) {
      for (let i = 0; i < 200; i += 1) {
        link.deliver(query([question('_nix-cache._tcp.local')]), hosts(i));
        link.deliver(response(ptr('_nix-cache._tcp.local', `half ${i}._nix-cache._tcp.local`)), hosts(i));
      }
      await clock.pass(1_000);
    }
    const ours = link.sent.slice(before).filter(({ from }) => from === '192.168.0.7').length;
    process.stdout.write(`  24,000 packets drew ${ours} from us in a minute\n`);
    // An answer to each second's crowd; the minute's queries, five more at once and one each 5 s, each of which we
    // answer, too, when the crowd has made us forget ourselves.
    expect(ours).toBeLessThanOrEqual(60 + 2 * (3 + 5 + 12));
    await expectUnharmed();
  });
});
