import type { ListenAddress } from '../../config/listen-address.ts';
import { safeUrl } from '../../telemetry/secrets.ts';
import { type Finding, ok, warning } from './finding.ts';
import type { NixSettings } from './nix-settings.ts';
import { isRelay } from './relay-url.ts';

/** Whether users and flakes may have Nix ask caches beside the relay. */
export function checkTrustedSubstituters(
  { trustedSubstituters }: Pick<NixSettings, 'trustedSubstituters'>,
  listen: ListenAddress,
  file: string,
): Finding {
  const others = trustedSubstituters.filter((one) => !isRelay(one, listen)).map(safeUrl);
  if (others.length === 0) return ok('No flake or user may add substituters.');
  return warning(`A flake or a user may have Nix ask ${others.join(' and ')} beside narrowcast.`, {
    cure: [`in ${file}: trusted-substituters =`, 'and name them among the substituters of narrowcast'],
    nixos: 'nix.settings.trusted-substituters = [ ];',
  });
}
