import { linkKey } from '../../discovery/interfaces.ts';
import type { NetworkWatch } from '../../discovery/network.ts';
import type { Resolver } from '../source/resolver.ts';
import type { SourcePool } from '../source/source-pool.ts';
import type { Logger } from '../telemetry/log.ts';

/** What was learnt on one network does not count on the next. */
export function followNetwork(
  network: NetworkWatch,
  pool: SourcePool,
  resolver: Resolver,
  ahead: readonly { reset(): void }[],
  log: Logger,
): void {
  const linksNow = () => new Set(network.addresses.map(linkKey));
  let links = linksNow();
  network.on('changed', (change) => {
    log.info({ change, online: network.online }, 'network changed');
    const before = links;
    links = linksNow();
    resolver.forget();
    for (const part of ahead) part.reset();
    // Connections over a link that is still there go on, save after a sleep, when nobody knows.
    void pool.networkChanged(change === 'resumed' || [...before].some((link) => !links.has(link)));
  });
  network.start();
}
