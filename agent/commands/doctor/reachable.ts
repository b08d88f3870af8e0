import type { AgentAnswer } from './agent-answers.ts';
import { type Finding, fault, ok } from './finding.ts';

/**
 * Whether the agent answers at each address where Nix may look for it: `localhost` is ::1 first.
 * @param ours the addresses that this machine has
 */
export function checkReachable(
  answers: readonly AgentAnswer[],
  port: number,
  ours: (address: string) => boolean,
): Finding {
  const at = (some: readonly AgentAnswer[]) => some.map(({ address }) => address).join(' and ');
  const strangers = answers.filter(({ from }) => from === 'stranger');
  if (strangers.length > 0)
    return fault(`At port ${port} of ${at(strangers)} another program answers.`, {
      cure: [`to see which: ss -ltnp 'sport = :${port}'`, 'stop it, or choose another port with listen'],
      nixos: 'services.narrowcast.settings.listen = "localhost:6270";',
    });
  const missing = answers.filter(({ from, address }) => from === 'nobody' && ours(address));
  const found = answers.filter(({ from }) => from === 'agent');
  if (found.length === 0)
    return fault(`No narrowcast answers at port ${port}: ${missing[0]?.code ?? 'there is no loopback'}.`, {
      cure: ['run: systemctl start narrowcast', 'or: narrowcast serve'],
      nixos: 'services.narrowcast.enable = true;',
    });
  if (missing.length > 0)
    return fault(
      `narrowcast answers at ${at(found)} and not at ${at(missing)}, where Nix may look for it as well.`,
      {
        cure: [
          'in the configuration of narrowcast: listen = "localhost:PORT"',
          `under systemd, in narrowcast.socket: ListenStream= for ${at(missing)}`,
        ],
      },
    );
  return ok(`narrowcast answers at port ${port} of ${at(found)}.`);
}
