// Writes DNS packets byte by byte, independently of the library under test, so that wrong ones can be written too.

const types = { A: 1, NS: 2, PTR: 12, TXT: 16, AAAA: 28, SRV: 33, OPT: 41, NSEC: 47 };

/** A name, or bytes that stand where one should. */
export type WireName = string | Buffer;

export function name(labels: WireName): Buffer {
  if (Buffer.isBuffer(labels)) return labels;
  const bytes = labels
    .split('.')
    .map((label) => Buffer.from([Buffer.byteLength(label), ...Buffer.from(label)]));
  return Buffer.concat([...bytes, Buffer.from([0])]);
}

/** A compression pointer to an offset in the packet. */
export function pointer(offset: number): Buffer {
  return Buffer.from([0xc0 | (offset >> 8), offset & 0xff]);
}

export function record(owner: WireName, type: keyof typeof types, data: Buffer, ttl = 4_500): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(types[type], 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(ttl, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([name(owner), head, data]);
}

export function ptr(owner: WireName, target: WireName, ttl?: number): Buffer {
  return record(owner, 'PTR', name(target), ttl);
}

export function srv(owner: WireName, port: number, target: WireName, ttl?: number): Buffer {
  return record(owner, 'SRV', Buffer.from([0, 0, 0, 0, port >> 8, port & 0xff, ...name(target)]), ttl);
}

export function txt(owner: WireName, strings: readonly (string | Buffer)[], ttl?: number): Buffer {
  const data = strings.map((text) => Buffer.from([Buffer.byteLength(text), ...Buffer.from(text)]));
  return record(owner, 'TXT', Buffer.concat(data), ttl);
}

export function question(asked: WireName, type: keyof typeof types = 'PTR'): Buffer {
  return Buffer.concat([name(asked), Buffer.from([0, types[type], 0, 1])]);
}

export function response(...records: Buffer[]): Buffer {
  return packet(0x8400, [], records);
}

export function query(questions: readonly Buffer[], knownAnswers: readonly Buffer[] = []): Buffer {
  return packet(0, questions, knownAnswers);
}

function packet(flags: number, questions: readonly Buffer[], records: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(flags, 2);
  header.writeUInt16BE(questions.length, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, ...questions, ...records]);
}

/** The announcement of a cache, complete. */
export function announcement(
  label: string,
  port: number,
  type = '_nix-cache._tcp',
  pairs = ['txtvers=1'],
): Buffer {
  const instance = Buffer.concat([
    Buffer.from([Buffer.byteLength(label), ...Buffer.from(label)]),
    name(`${type}.local`),
  ]);
  return response(
    ptr(`${type}.local`, instance),
    srv(instance, port, 'target.local', 120),
    txt(instance, pairs),
  );
}
