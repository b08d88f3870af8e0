import { readFileSync } from 'node:fs';
import { BlockList } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

/** One address by which this machine can be reached from another: not loopback, not IPv6 link-local. */
export interface InterfaceAddress {
  /** The interface's name, such as `wlan0`. */
  readonly name: string;
  /** The kernel's number for the interface, which a re-plugged adapter does not get back; 0 where unknown. */
  readonly index: number;
  /** How often the carrier came or went since the interface exists; 0 where unknown. */
  readonly carrierChanges: number;
  readonly family: 'IPv4' | 'IPv6';
  readonly address: string;
  readonly netmask: string;
  /** True for a link without hardware addresses, such as a tunnel: multicast DNS has no place there. */
  readonly tunnel: boolean;
}

/**
 * Tells links apart: two addresses have one key when they are the same link to the same network. IPv6 counts by
 * its /64 prefix, because privacy extensions change the rest daily on an unchanged network.
 */
export function linkKey({ name, index, carrierChanges, family, address, netmask }: InterfaceAddress): string {
  const where = family === 'IPv4' ? `${address}/${netmask}` : prefix64(address);
  return `${name} ${index} ${carrierChanges} ${where}`;
}

function prefix64(address: string): string {
  const [head = '', tail] = address.split('::');
  const left = head.split(':').filter(Boolean);
  const right = tail?.split(':').filter(Boolean) ?? [];
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}

/** Lists the addresses of the interfaces that are up and have a carrier, as the kernel tells it now. */
export type ReadInterfaces = () => readonly InterfaceAddress[];

/** The machine's own interfaces. Throws what `os.networkInterfaces` throws where a sandbox forbids netlink. */
export const systemInterfaces: ReadInterfaces = () =>
  Object.entries(networkInterfaces()).flatMap(([name, infos]) => usableAddresses(name, infos ?? []));

function usableAddresses(name: string, infos: readonly NetworkInterfaceInfo[]): InterfaceAddress[] {
  const usable = infos.filter((info) => !info.internal && !isLinkLocal6(info));
  if (usable.length === 0) return [];
  const index = kernelNumber(name, 'ifindex');
  const carrierChanges = kernelNumber(name, 'carrier_changes');
  return usable.map(({ family, address, netmask, mac }) => ({
    name,
    index,
    carrierChanges,
    family,
    address,
    netmask,
    tunnel: mac === '00:00:00:00:00:00',
  }));
}

const linkLocal6 = new BlockList();
linkLocal6.addSubnet('fe80::', 10, 'ipv6');

function isLinkLocal6({ family, address }: NetworkInterfaceInfo): boolean {
  return family === 'IPv6' && linkLocal6.check(address, 'ipv6');
}

// Only Linux has these files; elsewhere the address alone must tell one network from another.
function kernelNumber(name: string, file: 'ifindex' | 'carrier_changes'): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/${file}`, 'utf8')) || 0;
  } catch {
    return 0;
  }
}
