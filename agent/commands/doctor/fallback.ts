import { type Finding, ok, warning } from './finding.ts';
import type { NixSettings } from './nix-settings.ts';

/** What Nix does when the relay itself fails. */
export function checkFallback({ fallback }: Pick<NixSettings, 'fallback'>, file: string): Finding {
  if (fallback) return ok('Should narrowcast fail, Nix builds from source.');
  return warning('Should narrowcast fail, so does Nix.', {
    cure: `in ${file}: fallback = true`,
    nixos: 'nix.settings.fallback = true;',
  });
}
