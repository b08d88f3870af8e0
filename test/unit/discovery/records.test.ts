import { describe, expect, it } from 'vitest';
import type { ResourceRecord } from '../../../discovery/packet.ts';
import { createRecordTable } from '../../../discovery/records.ts';
import { FakeClock } from './fake-clock.ts';

function pointerTo(data: string, ttl = 4_500): ResourceRecord {
  return { type: 'PTR', name: data.replace(/^.*?\./, ''), ttl, flush: false, data };
}

function service(name: string, port: number, ttl = 120): ResourceRecord {
  return { type: 'SRV', name, ttl, flush: true, data: { port, target: 'pi.local' } };
}

function text(name: string, pairs: Record<string, string> = {}, ttl = 4_500): ResourceRecord {
  return { type: 'TXT', name, ttl, flush: true, data: new Map(Object.entries(pairs)) };
}

const pi = 'Pi._nix-cache._tcp.local';
const web = 'Web._http._tcp.local';
const source = '192.168.0.42';
const never = () => false;
const always = () => true;

describe('the record table', () => {
  it('tells of a cache with the address of the packet, whatever host the records name', () => {
    const table = createRecordTable(new FakeClock());
    const { seen, gone } = table.learn(source, [pointerTo(pi), service(pi, 6271), text(pi, { id: 'x' })]);
    expect([seen, gone]).toEqual([
      [{ source, port: 6271, label: 'Pi', type: '_nix-cache._tcp', txt: new Map([['id', 'x']]) }],
      [],
    ]);
  });

  it.each(['_nix-cache', '_nix-serve', '_nix_binary_cache', '_nixcache'])('knows the type %s', (type) => {
    const name = `a.b c.${type}._TCP.local`;
    const { seen } = createRecordTable(new FakeClock()).learn(source, [service(name, 1)]);
    expect(seen).toMatchObject([{ label: 'a.b c', type: `${type}._tcp` }]);
  });

  it('takes an HTTP server for a cache only when it says nix-cache=1', () => {
    const table = createRecordTable(new FakeClock());
    expect(table.learn(source, [service(web, 80)]).seen).toEqual([]);
    expect(table.learn(source, [text(web, { 'nix-cache': '0' })]).seen).toEqual([]);
    expect(table.learn(source, [text(web, { 'nix-cache': '1' })]).seen).toMatchObject([{ port: 80 }]);
  });

  it('ignores other types, types themselves, and pointers that lead elsewhere', () => {
    const table = createRecordTable(new FakeClock());
    const records: ResourceRecord[] = [
      service('x._ipp._tcp.local', 1),
      service('_nix-cache._tcp.local', 1),
      service('nix-cache._tcp.local', 1),
      {
        type: 'PTR',
        name: '_services._dns-sd._udp.local',
        ttl: 1,
        flush: false,
        data: '_nix-cache._tcp.local',
      },
      { type: 'PTR', name: '_ipp._tcp.local', ttl: 1, flush: false, data: pi },
      { type: 'A', name: pi, ttl: 1, flush: false, data: '127.0.0.1' },
    ];
    expect(table.learn(source, records).seen).toEqual([]);
    expect([table.hasIncomplete(), table.knownAnswers(always)]).toEqual([false, []]);
  });

  it('puts split answers together, asking for what lacks three times at most', () => {
    const table = createRecordTable(new FakeClock());
    table.learn(source, [pointerTo(pi)]);
    for (let i = 0; i < 3; i += 1) expect(table.askIncomplete()).toEqual([pi]);
    expect([table.hasIncomplete(), table.askIncomplete()]).toEqual([false, []]);
    expect(table.learn(source, [text(pi)]).seen).toEqual([]);
    expect(table.learn(source, [service(pi, 6271)]).seen).toMatchObject([{ port: 6271 }]);
  });

  it('asks again for a service whose record has run out, and never about what is no cache', async () => {
    const clock = new FakeClock();
    const table = createRecordTable(clock);
    table.learn(source, [pointerTo(pi), service(pi, 6271), text(pi)]);
    table.learn(source, [pointerTo(web), service(web, 80), text(web)]);
    expect(table.hasIncomplete()).toBe(false);
    await clock.pass(120_001);
    expect(table.askIncomplete()).toEqual([pi]);
  });

  it('lists as known what is settled or no cache, and is in the first half of its life', async () => {
    const clock = new FakeClock();
    const table = createRecordTable(clock);
    table.learn(source, [pointerTo(pi, 100), service(pi, 6271), text(pi)]);
    table.learn(source, [pointerTo(web), service(web, 80), text(web)]);
    const known = (isSettled: () => boolean) =>
      table.knownAnswers(isSettled).map((record) => [record.type === 'PTR' && record.data, record.ttl]);
    expect(known(always)).toEqual([
      [pi, 100],
      [web, 4_500],
    ]);
    expect(known(never)).toEqual([[web, 4_500]]);
    await clock.pass(40_000);
    expect(known(always)).toEqual([
      [pi, 60],
      [web, 4_460],
    ]);
    await clock.pass(20_000);
    expect(known(always)).toEqual([[web, 4_440]]);
  });

  it('tells of a goodbye once, and of none for what it never knew or what another machine said', () => {
    const table = createRecordTable(new FakeClock());
    table.learn(source, [pointerTo(pi), service(pi, 6271), text(pi)]);
    expect(table.learn('192.168.0.66', [pointerTo(pi, 0)]).gone).toEqual([]);
    expect(table.learn(source, [pointerTo(pi, 0), service(pi, 6271, 0)]).gone).toMatchObject([
      { port: 6271 },
    ]);
    expect(table.learn(source, [pointerTo(pi, 0)]).gone).toEqual([]);
  });

  it('takes a service for gone when a packet both tells of it and takes it back', () => {
    const table = createRecordTable(new FakeClock());
    table.learn(source, [pointerTo(pi), service(pi, 6271), text(pi)]);
    const { seen, gone } = table.learn(source, [text(pi), service(pi, 6271, 0)]);
    expect([seen.length, gone.length]).toEqual([0, 1]);
  });

  it('keeps apart what two machines say of one name', () => {
    const table = createRecordTable(new FakeClock());
    table.learn(source, [service(pi, 6271)]);
    const { seen } = table.learn('192.168.0.66', [service(pi, 22)]);
    expect(seen).toMatchObject([{ source: '192.168.0.66', port: 22 }]);
    expect(table.learn(source, [text(pi)]).seen).toMatchObject([{ source, port: 6271 }]);
  });

  it('forgets what has run out, and believes no TTL above 75 minutes', async () => {
    const clock = new FakeClock();
    const table = createRecordTable(clock);
    table.learn(source, [pointerTo(web, 0xffffffff)]);
    await clock.pass(4_499_000);
    expect(table.hasIncomplete()).toBe(true);
    await clock.pass(2_000);
    expect(table.hasIncomplete()).toBe(false);
  });

  it('holds 8 services of one machine and those of 64 machines, the newest, and lists what fits into a frame as known', () => {
    const table = createRecordTable(new FakeClock());
    const names = (count: number, from = 0) =>
      Array.from({ length: count }, (_, i) => `n${from + i}._http._tcp.local`);
    table.learn(
      source,
      names(10_000).map((name) => pointerTo(name)),
    );
    const known = table.knownAnswers(always).map((record) => record.type === 'PTR' && record.data);
    expect(known).toEqual(names(8, 9_992));
    for (let host = 1; host < 255; host += 1)
      table.learn(
        `10.0.0.${host}`,
        names(8).map((name) => pointerTo(name)),
      );
    expect(table.knownAnswers(always).length).toBe(Math.floor(1_000 / (14 + 16 + 19)));
    let asked = 0;
    while (table.hasIncomplete()) asked += table.askIncomplete().length;
    expect(asked).toBe(3 * 8 * 64);
  });
});
