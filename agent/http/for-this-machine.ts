import type { IncomingMessage } from 'node:http';
import { isLoopbackHost } from '../source/address.ts';

/** Whether a request came to a loopback name: a page on the web can make a browser ask us under a name of its own (DNS rebinding), and read what it gets. */
export function isForThisMachine({ headers }: IncomingMessage): boolean {
  const host = URL.parse(`http://${headers.host}`)?.hostname;
  return host !== undefined && isLoopbackHost(host);
}
