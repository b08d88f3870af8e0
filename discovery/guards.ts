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
const recordTypes = { a: 1, ptr: 12, txt: 16, srv: 33 };
const used = new Set(Object.values(recordTypes));
const unusedType = 0xff00; // the first type for private use (RFC 6895, 3.1), which the decoder does not look into
const maxTxtBytes = 4_096; // in a packet; the decoder makes an object of each string, which may be empty

// Other types' decoders are costly (NSEC makes a string of each bit) or throw, which would lose the whole packet.
function isDecodable(message: Buffer): boolean {
  if (message.length < headerBytes) return false;
  const questions = message.readUInt16BE(4);
  const records = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  if (questions + records > maxRecords) return false;
  let offset: number | undefined = headerBytes;
  let txtBytes = 0;
  for (let i = 0; i < questions; i += 1) {
    offset = endOfName(message, offset);
    if (offset === undefined) return false;
    offset += 4;
  }
  for (let i = 0; i < records; i += 1) {
    const head = endOfName(message, offset);
    if (head === undefined || head + 10 > message.length) return false;
    const type = message.readUInt16BE(head);
    const data = head + 10;
    if (type === recordTypes.ptr && endOfName(message, data) === undefined) return false;
    if (type === recordTypes.srv && endOfName(message, data + 6) === undefined) return false;
    const length = message.readUInt16BE(head + 8);
    if (type === recordTypes.txt) txtBytes += length;
    if (!used.has(type) || (type === recordTypes.txt && txtBytes > maxTxtBytes)) {
      message.writeUInt16BE(unusedType, head);
    }
    offset = data + length;
  }
  return offset <= message.length;
}

const maxNameBytes = 255; // RFC 1035, 2.3.4
const maxPointers = 16; // in a name; honest ones have three or four, and the decoder would follow thousands

// The offset after a name; undefined when it is no name, or one that would keep the decoder busy.
function endOfName(message: Buffer, start: number): number | undefined {
  let offset = start;
  let end: number | undefined;
  let bytes = 0;
  let pointers = 0;
  while (bytes <= maxNameBytes && pointers <= maxPointers) {
    const length = message[offset];
    if (length === undefined) return undefined;
    if (length === 0) return end ?? offset + 1;
    if (length >= 0xc0) {
      end ??= offset + 2;
      offset = ((length & 0x3f) << 8) | (message[offset + 1] ?? 0);
      pointers += 1;
    } else {
      offset += 1 + length;
      bytes += 1 + length;
    }
  }
  return undefined;
}
