import type { Stats } from '../../http/stats-schema.ts';
import { counted } from '../terminal/amounts.ts';
import { printable } from '../terminal/table.ts';
import { type Finding, ok, skipped, warning } from './finding.ts';

/** Which caches the agent knows on the LAN; undefined where none runs. */
export function checkPeers(peers: Stats['peers'] | undefined): Finding {
  if (peers === undefined) return skipped('No agent runs to be asked for the caches of the LAN.');
  if (peers.length === 0)
    return skipped('No cache is known on this LAN. If there should be one: see firewall, or name it.', {
      cure: 'in the configuration of narrowcast: lan.peers = ["http://HOST:PORT"]',
      nixos: 'services.narrowcast.settings.lan.peers',
    });
  const down = peers.filter(({ state }) => state === 'down');
  if (down.length === 0) return ok(`${counted(peers.length, 'cache')} on the LAN: ${names(peers)}.`);
  return warning(`Known on the LAN, but away: ${names(down)}.`, { cure: 'run: narrowcast peers' });
}

function names(peers: Stats['peers']): string {
  return peers
    .map(({ name, reason }) => printable(reason === null ? name : `${name} (${reason})`))
    .join(', ');
}
