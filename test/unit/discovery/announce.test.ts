import { describe, expect, it } from 'vitest';
import { announce } from '../../../discovery/announce.ts';
import { announcementRecords, instanceName } from '../../../discovery/announcement.ts';
import type { Packet, Question, ResourceRecord } from '../../../discovery/packet.ts';
import type { Transport } from '../../../discovery/transport.ts';
import { FakeClock } from './fake-clock.ts';

const own = { id: 'abcd1234', port: 6271, hostName: 'pi.example.org' };
const records = announcementRecords(own, '192.168.0.42');
const type = '_nix-cache._tcp.local';

function announcing() {
  const clock = new FakeClock();
  const told: { at: number; records: readonly ResourceRecord[] }[] = [];
  const began = clock.now();
  const transport: Transport = {
    query: () => {},
    respond: async (records) => void told.push({ at: clock.now() - began, records }),
    close: () => {},
  };
  const announcer = announce(records, transport, clock);
  const ask = (question: Question, known: readonly ResourceRecord[] = []) =>
    announcer.received({ kind: 'query', questions: [question], records: known } satisfies Packet);
  return { clock, told, announcer, ask };
}

describe('the announcement', () => {
  it('says who, where and what, each interface with its own address only', () => {
    const [service, text, address] = records.details;
    expect(records.pointer).toMatchObject({ name: type, data: `pi narrowcast abcd1234.${type}` });
    expect(service).toMatchObject({ type: 'SRV', data: { port: 6271, target: 'narrowcast-abcd1234.local' } });
    expect(address).toMatchObject({ type: 'A', name: 'narrowcast-abcd1234.local', data: '192.168.0.42' });
    expect(text?.type === 'TXT' && Object.fromEntries(text.data)).toEqual({
      txtvers: '1',
      path: '/',
      prio: '30',
      id: 'abcd1234',
    });
    expect(records.details.every(({ flush }) => flush)).toBe(true);
  });

  it.each(['a'.repeat(300), 'ü'.repeat(100), '🦊'.repeat(60), '', '.', 'a b\nc\\d'])(
    'has one label of at most 63 bytes for the host name %j',
    (hostName) => {
      const label = instanceName({ ...own, hostName }).slice(0, -type.length - 1);
      expect(Buffer.byteLength(label)).toBeLessThanOrEqual(63);
      expect(label).toMatch(/^[\p{L}\p{N}_-]* narrowcast abcd1234$/u);
    },
  );
});

describe('announcing', () => {
  it('tells thrice unasked, then keeps quiet', async () => {
    const { clock, told } = announcing();
    await clock.pass(3_600_000);
    expect(told.map(({ at }) => at)).toEqual([0, 1_000, 3_000]);
  });

  it.each<[string, Question]>([
    ['its type', { name: type, type: 'PTR' }],
    ['its type in capitals', { name: type.toUpperCase(), type: 'PTR' }],
    ['all types', { name: '_services._dns-sd._udp.local', type: 'PTR' }],
    ['its service', { name: records.pointer.data, type: 'SRV' }],
    ['everything of its name', { name: records.pointer.data, type: 'ANY' }],
    ['its address', { name: 'narrowcast-abcd1234.local', type: 'A' }],
  ])('answers who asks for %s, within 120 ms and with all there is to know', async (_what, question) => {
    const { clock, told, ask } = announcing();
    await clock.pass(10_000);
    ask(question);
    await clock.pass(19);
    expect(told.length).toBe(3);
    await clock.pass(101);
    expect(told[3]?.records).toEqual([records.pointer, ...records.details, records.enumeration]);
  });

  it.each<[string, Question, ResourceRecord[]]>([
    ['another type', { name: '_http._tcp.local', type: 'PTR' }, []],
    ['another record of its name', { name: records.pointer.data, type: 'AAAA' }, []],
    ['what the asker knows', { name: type, type: 'PTR' }, [{ ...records.pointer, ttl: 2_250 }]],
  ])('keeps quiet when asked for %s', async (_what, question, known) => {
    const { clock, told, ask } = announcing();
    await clock.pass(10_000);
    ask(question, known);
    await clock.pass(1_000);
    expect(told.length).toBe(3);
  });

  it('answers whose knowledge is in the second half of its life, or of another', async () => {
    const { clock, told, ask } = announcing();
    await clock.pass(10_000);
    ask({ name: type, type: 'PTR' }, [{ ...records.pointer, ttl: 2_249 }]);
    await clock.pass(1_000);
    ask({ name: type, type: 'PTR' }, [{ ...records.pointer, data: `other.${type}` }]);
    await clock.pass(1_000);
    expect(told.length).toBe(5);
  });

  it('answers five times a second at most, however many ask', async () => {
    const { clock, told, ask } = announcing();
    await clock.pass(10_000);
    for (let i = 0; i < 1_000; i += 1) {
      ask({ name: type, type: 'PTR' });
      await clock.pass(1);
    }
    await clock.pass(1_000);
    expect(told.length - 3).toBeGreaterThan(2);
    expect(told.length - 3).toBeLessThanOrEqual(6);
  });

  it('says goodbye with all but the shared record of types, and no more after that', async () => {
    const { clock, told, announcer, ask } = announcing();
    ask({ name: type, type: 'PTR' });
    await announcer.stop();
    await clock.pass(60_000);
    expect(told.map(({ records }) => records)).toEqual([
      [records.pointer, ...records.details].map((record) => ({ ...record, ttl: 0 })),
    ]);
    expect(clock.pending).toBe(0);
  });
});
