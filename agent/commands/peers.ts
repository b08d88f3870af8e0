import { type ConfigSources, loadConfig } from '../config/load.ts';
import type { Stats } from '../http/stats-schema.ts';
import { agentStats } from './agent-stats.ts';
import { readableTime } from './terminal/amounts.ts';
import { table } from './terminal/table.ts';

/** How to show the peers. */
export interface PeersOptions {
  /** As the array `peers` of `GET /stats`. */
  readonly json?: boolean;
}

/**
 * Prints the caches on the LAN that the running agent knows, and how each is.
 * @throws NarrowcastError `not-running` or `no-stats`, see agentStats
 */
export async function peers({ json = false }: PeersOptions, sources: ConfigSources): Promise<void> {
  const stats = await agentStats(await loadConfig(sources));
  process.stdout.write(
    json ? `${JSON.stringify(stats.peers, undefined, 2)}\n` : peersTable(stats, Date.now()),
  );
}

const heading = ['NAME', 'ADDRESS', 'TYPE', 'STATE', 'LATENCY', 'LAST SEEN', 'ANNOUNCED'];

/** The table as people see it at `now`, in ms since the epoch. */
export function peersTable({ peers, network }: Pick<Stats, 'peers' | 'network'>, now: number): string {
  if (peers.length > 0)
    return table(
      heading,
      peers.map((peer) => row(peer, now)),
    );
  const troubles = network.addresses.flatMap(({ mdnsTrouble }) => mdnsTrouble ?? []);
  const why = network.online ? [...new Set(troubles)] : ['This machine is offline.'];
  return ['No cache is known on the LAN.', ...why].map((line) => `${line}\n`).join('');
}

function row(peer: Stats['peers'][number], now: number): string[] {
  const { name, url, origin, state, reason, latencyMs, lastSeen, announced } = peer;
  return [
    name,
    url.replace(/^http:\/\//, '').replace(/\/$/, ''),
    origin,
    reason === null ? state : `${state}: ${reason}`,
    latencyMs === null ? '-' : `${latencyMs.toFixed(latencyMs < 10 ? 1 : 0)} ms`,
    lastSeen === null ? 'never' : `${readableTime(Math.max(0, now - Date.parse(lastSeen)))} ago`,
    Object.entries(announced)
      .map(([key, value]) => (value === '' ? key : `${key}=${value}`))
      .join(' ') || '-',
  ];
}
