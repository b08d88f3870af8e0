import { describe, expect, it } from 'vitest';
import { type DecodedRecord, readPacket } from '../../../discovery/packet.ts';

function read(...answers: DecodedRecord[]) {
  return readPacket({ type: 'response', questions: [], answers, additionals: [] }).records;
}

describe('reading a packet', () => {
  it('keeps the records that discovery uses, of answers and additional records', () => {
    const { records } = readPacket({
      type: 'response',
      questions: [],
      answers: [{ name: '_http._tcp.local', type: 'PTR', ttl: 10, data: 'x._http._tcp.local' }],
      additionals: [
        {
          name: 'x._http._tcp.local',
          type: 'SRV',
          ttl: 20,
          flush: true,
          data: { port: 80, target: 'x.local' },
        },
        { name: 'x.local', type: 'A', ttl: 30, data: '10.0.0.1' },
        { name: 'x.local', type: 'AAAA', ttl: 30, data: '::1' },
        { name: 'x.local', type: 'UNKNOWN_65280', data: Buffer.alloc(3) },
      ],
    });
    expect(records.map(({ type, ttl, flush }) => [type, ttl, flush])).toEqual([
      ['PTR', 10, false],
      ['SRV', 20, true],
      ['A', 30, false],
    ]);
  });

  it.each([
    ['control characters', 'a\u001b[31m._http._tcp.local'],
    ['a line break', 'a\nb._http._tcp.local'],
    ['a right-to-left override', 'a\u202eb._http._tcp.local'],
    ['a line separator', 'a\u2028b._http._tcp.local'],
    ['bytes that are no UTF-8', 'a\ufffd._http._tcp.local'],
    ['an empty label', 'a.._http._tcp.local'],
    ['an empty label at its end', 'a._http._tcp.local.'],
    ['more than 255 characters', `${'a'.repeat(250)}._http._tcp.local`],
  ])('drops a name with %s', (_what, bad) => {
    expect(read({ name: bad, type: 'SRV', data: { port: 80, target: 'x.local' } })).toEqual([]);
    expect(read({ name: '_http._tcp.local', type: 'PTR', data: bad })).toEqual([]);
    expect(read({ name: 'x._http._tcp.local', type: 'SRV', data: { port: 80, target: bad } })).toEqual([]);
  });

  it('keeps names in any script, and with joined emoji', () => {
    const odd = '李的 👨‍👩‍👧 “Кэш”._http._tcp.local';
    expect(read({ name: '_http._tcp.local', type: 'PTR', data: odd })).toHaveLength(1);
  });

  it.each([
    [undefined],
    [null],
    ['text'],
    [7],
    [{}],
    [{ port: 0, target: 'x.local' }],
    [{ port: '80', target: 'x' }],
  ])('drops a service of %j', (data) => {
    expect(read({ name: 'x._http._tcp.local', type: 'SRV', data })).toEqual([]);
  });

  it('reads TXT as RFC 6763 has it: first key holds, case of keys apart, values as they are', () => {
    const strings = [
      'ID=a=b',
      'id=c',
      'flag',
      '=nothing',
      '',
      'bad\u0001key=1',
      'esc=\u001b[2J',
      'ключ=1',
      'empty=',
    ];
    const [text] = read({
      name: 'x._http._tcp.local',
      type: 'TXT',
      data: strings.map((it) => Buffer.from(it)),
    });
    expect([...(text?.type === 'TXT' ? text.data : [])]).toEqual([
      ['id', 'a=b'],
      ['flag', ''],
      ['empty', ''],
    ]);
  });

  it('reads at most 16 pairs of a TXT record', () => {
    const data = Array.from({ length: 100 }, (_, i) => Buffer.from(`k${i}=v`));
    const [text] = read({ name: 'x._http._tcp.local', type: 'TXT', data });
    expect(text?.type === 'TXT' && text.data.size).toBe(16);
  });
});
