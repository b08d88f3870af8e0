import { type Finding, ok, warning } from './finding.ts';
import type { NixSettings } from './nix-settings.ts';

const upTo = 30;

/** How long Nix waits for a cache, other than narrowcast, that a flake or a command line adds. */
export function checkConnectTimeout(
  { connectTimeout }: Pick<NixSettings, 'connectTimeout'>,
  file: string,
): Finding {
  if (connectTimeout > 0 && connectTimeout <= upTo)
    return ok(`Nix waits ${connectTimeout} s for a connection.`);
  const span = connectTimeout === 0 ? 'minutes' : `${connectTimeout} s`;
  return warning(`Nix waits ${span} for a connection to a cache that is away.`, {
    cure: `in ${file}: connect-timeout = 5`,
    nixos: 'nix.settings.connect-timeout = 5;',
  });
}
