import { isIPv4 } from 'node:net';

/** An IPv4 address of this machine with the mask of the network it is on. */
export interface Ipv4Link {
  readonly address: string;
  readonly netmask: string;
}

/** Whether `other` is an IPv4 host address on the link's own network: neither its broadcast nor its network address. */
export function isOnSubnet(link: Ipv4Link, other: string): boolean {
  if (!isIPv4(other)) return false;
  const mask = toNumber(link.netmask);
  const host = (toNumber(other) & ~mask) >>> 0;
  const hosts = ~mask >>> 0;
  if (((toNumber(link.address) ^ toNumber(other)) & mask) !== 0) return false;
  return hosts <= 1 || (host !== 0 && host !== hosts);
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, octet) => ((sum << 8) | Number(octet)) >>> 0, 0);
}
