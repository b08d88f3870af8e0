/** What a packet asks for. */
export interface Question {
  readonly name: string;
  /** `PTR`, `SRV`, `TXT`, `A`, `ANY` or a type that does not concern discovery. */
  readonly type: string;
}

interface RecordHead {
  readonly name: string;
  /** Seconds for which the record holds; 0 takes it back. */
  readonly ttl: number;
  /** Whether it replaces every record of its name and type that was told before (RFC 6762, 10.2). */
  readonly flush: boolean;
}

/** The resource records that discovery reads and writes. */
export type ResourceRecord =
  | (RecordHead & { readonly type: 'PTR'; readonly data: string })
  | (RecordHead & { readonly type: 'SRV'; readonly data: { readonly port: number; readonly target: string } })
  | (RecordHead & { readonly type: 'TXT'; readonly data: ReadonlyMap<string, string> })
  | (RecordHead & { readonly type: 'A'; readonly data: string });

/** A pointer from a type of service to an instance of it. */
export type PointerRecord = Extract<ResourceRecord, { type: 'PTR' }>;

/** A multicast DNS packet, reduced to what discovery understands and with every name fit to be shown and sent. */
export interface Packet {
  readonly kind: 'query' | 'response';
  readonly questions: readonly Question[];
  /** A response's answers and additional records; a query's known answers. */
  readonly records: readonly ResourceRecord[];
}

/** A packet as dns-packet decodes it. Its fields are as trustworthy as the network. */
export interface DecodedPacket {
  readonly type: 'query' | 'response';
  readonly questions: readonly Question[];
  readonly answers: readonly DecodedRecord[];
  readonly additionals: readonly DecodedRecord[];
}

/** A resource record as dns-packet decodes it. */
export interface DecodedRecord {
  readonly name: string;
  readonly type: string;
  readonly ttl?: number;
  readonly flush?: boolean;
  readonly data?: unknown;
}

/** Reads a decoded packet, leaving out whatever is malformed, unprintable or of no concern. */
export function readPacket(decoded: DecodedPacket): Packet {
  return {
    kind: decoded.type,
    questions: decoded.questions.filter(({ name }) => isFitName(name)),
    records: [...decoded.answers, ...decoded.additionals].flatMap((record) => readRecord(record) ?? []),
  };
}

function readRecord({ name, type, ttl = 0, flush = false, data }: DecodedRecord): ResourceRecord | undefined {
  if (!isFitName(name)) return undefined;
  if (type === 'PTR' && isFitName(data)) return { name, ttl, flush, type, data };
  if (type === 'A' && typeof data === 'string') return { name, ttl, flush, type, data };
  if (type === 'TXT' && Array.isArray(data)) return { name, ttl, flush, type, data: readTxt(data) };
  if (type === 'SRV' && isService(data)) return { name, ttl, flush, type, data };
  return undefined;
}

function isService(data: unknown): data is { port: number; target: string } {
  if (typeof data !== 'object' || data === null || !('port' in data) || !('target' in data)) return false;
  return typeof data.port === 'number' && data.port > 0 && isFitName(data.target);
}

// A name that could not be written back as it was read (RFC 6763, 4.1.1 forbids control characters, too).
function isFitName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= 255 && isPrintable(name) && !/^\.|\.\.|\.$/.test(name);
}

function isPrintable(text: string): boolean {
  return !/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\uFFFD]/u.test(text);
}

const maxTxtPairs = 16;

// RFC 6763, 6.4: keys are printable ASCII, their case does not count, and the first of several with one name holds.
function readTxt(strings: readonly unknown[]): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  for (const bytes of strings) {
    if (pairs.size === maxTxtPairs) break;
    const [, key, value = ''] = /^([\x20-\x3c\x3e-\x7e]+)(?:=(.*))?$/s.exec(String(bytes)) ?? [];
    if (key === undefined || !isPrintable(value) || pairs.has(key.toLowerCase())) continue;
    pairs.set(key.toLowerCase(), value);
  }
  return pairs;
}
