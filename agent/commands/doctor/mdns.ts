import type { Stats } from '../../http/stats-schema.ts';
import { type Finding, fault, ok, skipped } from './finding.ts';

/**
 * Whether multicast DNS can be spoken beside avahi and systemd-resolved.
 * @param avahi the text of avahi-daemon.conf; undefined where there is none
 * @param network what the agent that runs says
 */
export function checkMdns(avahi: string | undefined, network: Stats['network'] | undefined): Finding {
  if (/^\s*disallow-other-stacks\s*=\s*yes\b/m.test(avahi ?? ''))
    return fault('avahi keeps the mDNS port to itself: caches are neither found nor announced.', {
      cure: [
        'in /etc/avahi/avahi-daemon.conf: disallow-other-stacks=no',
        'run: systemctl restart avahi-daemon',
      ],
      nixos: 'remove disallow-other-stacks=yes from services.avahi.extraConfig',
    });
  if (network === undefined) return skipped('No agent runs to be asked whether mDNS works.');
  const troubled = network.addresses.flatMap(({ interface: name, mdnsTrouble }) =>
    mdnsTrouble === null ? [] : [`${name}: ${mdnsTrouble}`],
  );
  if (troubled.length > 0)
    return fault(`mDNS does not work on ${[...new Set(troubled)].join(' ')}`, {
      cure: "to see who has the port: ss -lunp 'sport = :5353'",
    });
  return ok(network.online ? 'mDNS works on every interface.' : 'This machine is offline: no mDNS.');
}
