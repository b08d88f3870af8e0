import { createDiscovery, type Discovery, type DiscoveryOptions } from '../../../discovery/discovery.ts';
import type { InterfaceAddress } from '../../../discovery/interfaces.ts';
import { type NetworkWatch, watchNetwork } from '../../../discovery/network.ts';
import type { Verdict } from '../../../discovery/verify.ts';
import type { FakeClock } from './fake-clock.ts';
import type { FakeLink } from './fake-link.ts';

/** An interface of a fake machine. */
export function ethernet(address: string, more: Partial<InterfaceAddress> = {}): InterfaceAddress {
  const shape = { name: 'eth0', index: 2, carrierChanges: 1, netmask: '255.255.255.0', tunnel: false };
  return { ...shape, family: 'IPv4', address, ...more };
}

/** A machine that runs discovery, without a network. */
export interface Machine {
  readonly discovery: Discovery;
  readonly network: NetworkWatch;
  /** What it told, such as `up http://…/`. */
  readonly told: string[];
  /** The URLs that it has verified, in order. */
  readonly verified: string[];
  /** Sets the interfaces that the machine has from now on. */
  plug(...interfaces: InterfaceAddress[]): void;
  /** The URLs of peers that are up. */
  up(): string[];
}

/** Makes a machine on a link; `caches` are the URLs that answer as caches, for all machines alike. */
export function machine(
  clock: FakeClock,
  link: FakeLink,
  address: string,
  caches: ReadonlySet<string>,
  options: Partial<DiscoveryOptions> = {},
): Machine {
  let interfaces = [ethernet(address)];
  const network = watchNetwork({ clock, readInterfaces: () => interfaces });
  const told: string[] = [];
  const verified: string[] = [];
  const discovery = createDiscovery({
    clock,
    network,
    createSocket: () => link.socket(interfaces[0]?.address ?? address),
    verify: async (url): Promise<Verdict> => {
      verified.push(url);
      return caches.has(url) ? { ok: true } : { ok: false, reason: 'connection refused' };
    },
    ...options,
  });
  discovery.on('peer up', ({ url }) => told.push(`up ${url}`));
  discovery.on('peer down', ({ url, reason }) => told.push(`down ${url}: ${reason}`));
  discovery.on('network changed', (change) => told.push(`network ${change}`));
  discovery.on('trouble', ({ code }) => told.push(`trouble ${code}`));
  discovery.on('recovered', (code) => told.push(`recovered ${code}`));
  return {
    discovery,
    network,
    told,
    verified,
    plug: (...now) => {
      interfaces = now;
    },
    up: () => discovery.peers.filter(({ state }) => state === 'up').map(({ url }) => url),
  };
}
