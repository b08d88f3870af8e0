import { isIP, isIPv4 } from 'node:net';
import * as v from 'valibot';
import { parsed, text } from './values.ts';

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

/** A place to listen at that the LAN can reach. */
export interface LanAddress {
  /** An IP address; `::` is every interface, with IPv4 as well. */
  readonly address: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** `address:port`; the empty text is no place at all. */
export function lanAddress() {
  const expected = 'an IP address and a port, such as "[::]:6271" or "192.168.0.2:6271", or "" for none';
  return v.pipe(
    text(expected),
    v.check((value) => value === '' || parseLan(value) !== undefined, expected),
    v.transform((value) => (value === '' ? undefined : parseLan(value))),
  );
}

function parseLan(value: string): LanAddress | undefined {
  const [, bracketed, plain, digits] =
    /^(?:\[([\da-fA-F:.]+)\]|([\d.]+)):(0|[1-9]\d{0,4})$/.exec(value) ?? [];
  const address = bracketed ?? plain;
  const port = Number(digits);
  if (address === undefined || isIP(address) !== (bracketed === undefined ? 4 : 6) || port > 65535)
    return undefined;
  return { address, port };
}
