import type { Clock } from './clock.ts';
import { type Ipv4Link, isOnSubnet } from './subnet.ts';
import { TokenBucket } from './token-bucket.ts';

/** Where a packet came from. */
export interface PacketOrigin {
  readonly address: string;
  readonly port: number;
}

/**
 * Decides, before a packet is decoded, whether decoding it is safe and worth while. An admitted packet's records
 * of types that discovery does not use are disarmed in place, so that the decoder passes over them.
 */
export interface Guard {
  admits(message: Buffer, origin: PacketOrigin): boolean;
}

/** The port that every multicast DNS responder sends from (RFC 6762, 11). */
export const mdnsPort = 5353;

const maxPacketBytes = 9_000; // RFC 6762, 17
const maxRecords = 160;
const packetsPerSource = 40; // each second
const packetsInAll = 200; // each second, for sources are easily made up
const maxSources = 256;

/** Guards the session of one interface. */
export function guardLink(link: Ipv4Link, clock: Clock): Guard {
  const all = new TokenBucket(clock, packetsInAll, packetsInAll);
  const sources = new Map<string, TokenBucket>();

  function bucketOf(address: string): TokenBucket {
    const bucket = sources.get(address) ?? new TokenBucket(clock, packetsPerSource, packetsPerSource);
    sources.delete(address);
    sources.set(address, bucket);
    for (const oldest of sources.keys()) {
      if (sources.size <= maxSources) break;
      sources.delete(oldest);
    }
    return bucket;
  }

  return {
    admits: (message, { address, port }) =>
      port === mdnsPort &&
      message.length <= maxPacketBytes &&
      isOnSubnet(link, address) &&
      bucketOf(address).take() &&
      all.take() &&
      isDecodable(message),
  };
}

const headerBytes = 12;

// The decoder follows chains of compression pointers for each name. This product bounds the steps, to about 1 ms.
const maxDecodingSteps = 131_072;

function isDecodable(message: Buffer): boolean {
  if (message.length < headerBytes) return false;
  const questions = message.readUInt16BE(4);
  const records = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  if (questions + records > maxRecords) return false;
  if ((questions + 2 * records) * countPointers(message) > maxDecodingSteps) return false;
  return disarm(message, questions, records);
}

// Every byte that could begin a compression pointer, wherever it stands.
function countPointers(message: Buffer): number {
  let count = 0;
  for (const byte of message) if (byte >= 0xc0) count += 1;
  return count;
}

const recordTypes = { a: 1, ptr: 12, txt: 16, srv: 33 };
const used = new Set(Object.values(recordTypes));
const maxTxtBytes = 2_048;
const unusedType = 0xff00; // the first type for private use (RFC 6895, 3.1), which the decoder does not look into

// Other types' decoders are costly (NSEC makes a string of each bit) or throw, which would lose the whole packet.
function disarm(message: Buffer, questions: number, records: number): boolean {
  let offset = headerBytes;
  for (let i = 0; i < questions; i += 1) offset = skipName(message, offset) + 4;
  for (let i = 0; i < records; i += 1) {
    const head = skipName(message, offset);
    if (head + 10 > message.length) return false;
    const type = message.readUInt16BE(head);
    const length = message.readUInt16BE(head + 8);
    if (!used.has(type) || (type === recordTypes.txt && length > maxTxtBytes)) {
      message.writeUInt16BE(unusedType, head);
    }
    offset = head + 10 + length;
  }
  return offset <= message.length;
}

// The offset after the name; beyond the message when the name does not end within it.
function skipName(message: Buffer, start: number): number {
  let offset = start;
  while (true) {
    const length = message[offset];
    if (length === undefined) return message.length + 1;
    if (length === 0) return offset + 1;
    if (length >= 0xc0) return offset + 2;
    offset += 1 + length;
  }
}
