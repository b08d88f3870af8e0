import type { ListenAddress } from '../../config/listen-address.ts';
import { safeUrl } from '../../telemetry/secrets.ts';
import { type Finding, fault, ok, warning } from './finding.ts';
import type { NixSettings } from './nix-settings.ts';
import { isRelay, relayUrl } from './relay-url.ts';

/**
 * Whether Nix asks the relay and nothing else, by the system's configuration.
 * @param file where that is written
 */
export function checkSubstituters(
  { substitute, substituters }: Pick<NixSettings, 'substitute' | 'substituters'>,
  listen: ListenAddress,
  file: string,
): Finding {
  const url = relayUrl(listen);
  const mend = {
    cure: [`in ${file}: substituters = ${url}`, 'and no extra-substituters'],
    nixos: 'services.narrowcast.enable = true;',
  };
  if (!substitute)
    return fault('Nix takes nothing from caches: it has substitute = false.', {
      cure: `in ${file}: substitute = true`,
      nixos: 'nix.settings.substitute = true;',
    });
  const others = substituters.filter((substituter) => !isRelay(substituter, listen));
  if (others.length === substituters.length)
    return fault(
      `Nix does not ask narrowcast at ${url}: ${substituters.length === 0 ? 'it has no substituters' : `its substituters are ${list(others)}`}.`,
      mend,
    );
  const ours = others.filter((substituter) => /^(https?|file|\/)/.test(substituter));
  if (ours.length > 0)
    return fault(
      `Nix asks ${list(ours)} beside narrowcast: when that is away, builds fail that narrowcast would have saved.`,
      {
        ...mend,
        cure: [
          ...mend.cure,
          `in the configuration of narrowcast: substituters = [${ours.map((one) => `"${safeUrl(one)}"`).join(', ')}]`,
        ],
      },
    );
  if (others.length > 0)
    return warning(
      `Nix asks ${list(others)} itself, which narrowcast cannot fetch from, and waits when it is away.`,
    );
  return ok(`Nix asks ${url} and nothing else.`);
}

function list(substituters: readonly string[]): string {
  return substituters.map(safeUrl).join(' and ');
}
