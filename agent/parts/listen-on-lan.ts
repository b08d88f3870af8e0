import { networkInterfaces } from 'node:os';
import type { LanAddress } from '../config/listen-address.ts';
import type { FaceServer } from '../http/server.ts';
import type { Logger } from '../telemetry/log.ts';

/**
 * Opens the LAN face, which is a courtesy: where it cannot listen, this machine's own Nix is served all the same. Resolves to the port,
 * or undefined where nothing listens.
 */
export async function listenOnLan(
  server: FaceServer,
  place: LanAddress | undefined,
  log: Logger,
): Promise<number | undefined> {
  if (place === undefined) return undefined;
  const addresses = place.address === '::' && !hasIpv6() ? ['0.0.0.0'] : [place.address];
  try {
    const port = await server.listen(addresses, place.port);
    log.info({ address: place.address, port }, 'open to the LAN');
    return port;
  } catch (err) {
    log.error({ err }, 'not open to the LAN');
    return undefined;
  }
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'));
}
