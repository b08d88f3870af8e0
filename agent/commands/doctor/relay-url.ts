import type { ListenAddress } from '../../config/listen-address.ts';
import { isLoopbackHost, unbracketed } from '../../source/address.ts';

/** The URL that nix.conf should have. */
export function relayUrl({ host, port }: ListenAddress): string {
  return `http://${host}:${port}`;
}

/** Whether a substituter of nix.conf is the agent that listens there, however it is written. */
export function isRelay(substituter: string, { addresses, port }: ListenAddress): boolean {
  const url = URL.parse(substituter);
  if (url === null || url.protocol !== 'http:' || Number(url.port || 80) !== port) return false;
  const host = unbracketed(url.hostname);
  return host === 'localhost' || (isLoopbackHost(host) && addresses.includes(host));
}
