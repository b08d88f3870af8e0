import { type Finding, ok, skipped, warning } from './finding.ts';
import type { RunProgram } from './run-program.ts';

/** Where each LAN needs to get in. */
export interface Doors {
  /** Undefined where the LAN face is closed. */
  readonly tcp: number | undefined;
  readonly mdns: boolean;
}

const listings = [['nft', 'list', 'ruleset'], ['iptables-save']];

/** The rules of the packet filter as text; undefined where none can be read. */
export async function firewallRules(run: RunProgram): Promise<string | undefined> {
  const all = await Promise.all(listings.map((listing) => run(listing)));
  const read = all.flatMap((ran) => (ran?.code === 0 ? [ran.stdout] : []));
  return read.length === 0 ? undefined : read.join('\n');
}

/** A hint: whether a packet filter drops something and never names our ports. Rules can be too clever to tell more. */
export function checkFirewall(rules: string | undefined, { tcp, mdns }: Doors): Finding {
  const doors = [...(tcp === undefined ? [] : [`${tcp}/tcp`]), ...(mdns ? ['5353/udp'] : [])];
  if (doors.length === 0) return ok('Nothing of the LAN is to be let in.');
  if (rules === undefined)
    return skipped(
      `No rules of a firewall can be read here (root may); it must let in ${doors.join(' and ')}.`,
    );
  const filters = /hook input|\bINPUT\b/.test(rules) && /\b(drop|reject)\b/i.test(rules);
  if (!filters) return ok('No firewall hides this machine.');
  const closed = doors.filter((door) => !new RegExp(`\\b${Number.parseInt(door, 10)}\\b`).test(rules));
  if (closed.length === 0) return ok(`The firewall names ${doors.join(' and ')}.`);
  return warning(`The firewall does not mention ${closed.join(' and ')}: the LAN may not see this machine.`, {
    cure: closed.map((door) => `let in ${door} from the LAN`),
    nixos: 'services.narrowcast.openFirewall = true;',
  });
}
