import { hostname } from 'node:os';
import { DiscoveryError } from './error.ts';
import type { PointerRecord, ResourceRecord } from './packet.ts';
import { browseName, ownServiceType } from './service-types.ts';

/** What this machine tells the LAN of its own cache. */
export interface Announcement {
  /** The id by which agents know themselves and each other: 4 to 32 lower-case letters and digits, made at random. */
  readonly id: string;
  /** The port of the LAN face. */
  readonly port: number;
  /** The machine's name, for people to read; by default its host name. */
  readonly hostName?: string;
}

/** The records of an announcement on the interface with one address. */
export interface AnnouncementRecords {
  /** The type's pointer to the instance: the one record of a name that others share. */
  readonly pointer: PointerRecord;
  /** Service, text and address. */
  readonly details: readonly ResourceRecord[];
  /** The answer to the question which types of service there are (RFC 6763, 9). */
  readonly enumeration: PointerRecord;
}

// RFC 6762, 10: records that name a host, or a host's port, are short-lived.
const hostTtl = 120; // seconds
const otherTtl = 4_500;

/** Writes the records of an announcement. Throws a DiscoveryError when the id or the port could not be announced. */
export function announcementRecords(announcement: Announcement, address: string): AnnouncementRecords {
  const { id, port } = announcement;
  if (!/^[a-z0-9]{4,32}$/.test(id)) {
    throw new DiscoveryError('bad-id', `The id "${id}" can't be announced: use 4 to 32 of a-z and 0-9.`);
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new DiscoveryError('bad-port', `The port ${port} can't be announced: use 1 to 65535.`);
  }
  const type = browseName(ownServiceType);
  const instance = instanceName(announcement);
  const target = `narrowcast-${id}.local`;
  const txt = new Map([
    ['txtvers', '1'],
    ['path', '/'],
    ['prio', '30'],
    ['id', id],
  ]);
  return {
    pointer: { name: type, type: 'PTR', ttl: otherTtl, flush: false, data: instance },
    details: [
      { name: instance, type: 'SRV', ttl: hostTtl, flush: true, data: { port, target } },
      { name: instance, type: 'TXT', ttl: otherTtl, flush: true, data: txt },
      { name: target, type: 'A', ttl: hostTtl, flush: true, data: address },
    ],
    enumeration: {
      name: '_services._dns-sd._udp.local',
      type: 'PTR',
      ttl: otherTtl,
      flush: false,
      data: type,
    },
  };
}

const maxLabelBytes = 63; // RFC 1035, 2.3.4

/** The full name of the instance, unique on the LAN by the id in it. */
export function instanceName({ id, hostName = hostname() }: Announcement): string {
  const suffix = ` narrowcast ${id}`;
  const host = hostName.replace(/\..*/s, '').replace(/[^\p{L}\p{N}_-]/gu, '-');
  return `${truncate(host, maxLabelBytes - suffix.length)}${suffix}.${browseName(ownServiceType)}`;
}

function truncate(text: string, maxBytes: number): string {
  let kept = '';
  for (const character of text) {
    if (Buffer.byteLength(kept + character) > maxBytes) break;
    kept += character;
  }
  return kept;
}
