import { isIPv4 } from 'node:net';
import { parsed } from './values.ts';

/** A place to listen at that only this machine can reach. */
export interface ListenAddress {
  /** As people write it, for URLs: `localhost`, `127.0.0.1` or `[::1]`. */
  readonly host: string;
  /** What to bind: both loopback addresses for `localhost`, of which a machine without IPv6 has only one. */
  readonly addresses: readonly string[];
  /** 0 lets the system choose. */
  readonly port: number;
}

/** `host:port` with a loopback host. */
export function listenAddress() {
  return parsed(
    parseListen,
    'a loopback host and a port from 0 to 65535, such as "localhost:6270", "127.0.0.1:6270" or "[::1]:6270"',
  );
}

function parseListen(text: string): ListenAddress | undefined {
  const [, host, digits] = /^(localhost|127[\d.]+|\[::1\]):(0|[1-9]\d{0,4})$/.exec(text) ?? [];
  const port = Number(digits);
  if (host === undefined || port > 65535) return undefined;
  if (host === 'localhost') return { host, addresses: ['127.0.0.1', '::1'], port };
  if (host === '[::1]') return { host, addresses: ['::1'], port };
  return isIPv4(host) ? { host, addresses: [host], port } : undefined;
}
