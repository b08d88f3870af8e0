import type { Origin } from '../telemetry/counts-schema.ts';
import type { Stats } from './stats-schema.ts';

/** So many caches on the LAN have a label of their own. */
const maxNamed = 32;

/** Names sources, of which the network can bring ever more, with few labels: upstreams by id, the LAN's beyond 32 together. */
export class Labels {
  readonly #named: ReadonlySet<string>;

  constructor({ sources, sinceStart: { narinfo, nar } }: Stats) {
    const counted = [...Object.entries(narinfo.bySource), ...Object.entries(nar.bySource)];
    const ids = [
      ...sources.filter(({ reach }) => reach === 'lan').map(({ id }) => id),
      ...counted.filter(([, { origin }]) => origin === 'lan').map(([id]) => id),
    ];
    this.#named = new Set([...new Set(ids)].slice(0, maxNamed));
  }

  of(id: string, origin: Origin): string {
    return origin !== 'lan' || this.#named.has(id) ? id : 'other-lan';
  }
}
