import type { ListenAddress } from '../../config/listen-address.ts';
import { safeUrl } from '../../telemetry/secrets.ts';
import { type Finding, fault, ok } from './finding.ts';
import type { NixSettings } from './nix-settings.ts';
import { isRelay } from './relay-url.ts';

type Settings = Pick<NixSettings, 'substituters'>;

/**
 * Whether this user's own nix.conf, or NIX_CONFIG, has Nix ask others, or the relay no more.
 * @param file the user's nix.conf
 */
export function checkOwnSubstituters(
  system: Settings,
  own: Settings,
  listen: ListenAddress,
  file: string,
): Finding {
  const where = `${file} or NIX_CONFIG`;
  const cure = `in ${where}: remove substituters and extra-substituters`;
  const added = own.substituters.filter((one) => !system.substituters.includes(one) && !isRelay(one, listen));
  if (added.length > 0)
    return fault(`For you Nix asks ${added.map(safeUrl).join(' and ')} as well, by ${where}.`, { cure });
  const asks = (settings: Settings) => settings.substituters.some((one) => isRelay(one, listen));
  if (asks(system) && !asks(own)) return fault(`For you Nix does not ask narrowcast, by ${where}.`, { cure });
  return ok('Your own nix.conf adds no substituters.');
}
