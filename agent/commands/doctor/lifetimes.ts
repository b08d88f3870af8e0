import { type Finding, fault, ok, warning } from './finding.ts';
import type { NixSettings } from './nix-settings.ts';

/** Seconds for which Nix may remember what the relay knows better. */
const negativeUpTo = 60;
const positiveUpTo = 3600;

/** How long Nix remembers what is where, or nowhere. */
export function checkLifetimes(
  { negativeTtl, positiveTtl }: Pick<NixSettings, 'negativeTtl' | 'positiveTtl'>,
  file: string,
): Finding {
  const set = (name: string) => ({
    cure: `in ${file}: ${name} = 30`,
    nixos: `nix.settings.${name} = 30;`,
  });
  if (negativeTtl > negativeUpTo)
    return fault(
      `Nix remembers for ${span(negativeTtl)} that a path was nowhere, when the network is long back.`,
      set('narinfo-cache-negative-ttl'),
    );
  if (negativeTtl === 0)
    return warning(
      'Nix asks three times for each path that is nowhere: it remembers nothing of it.',
      set('narinfo-cache-negative-ttl'),
    );
  if (positiveTtl > positiveUpTo)
    return warning(
      `Nix remembers for ${span(positiveTtl)} that a path can be had, when it may be gone.`,
      set('narinfo-cache-positive-ttl'),
    );
  return ok(
    `Nix remembers what is nowhere for ${span(negativeTtl)}, what is somewhere for ${span(positiveTtl)}.`,
  );
}

function span(seconds: number): string {
  if (seconds >= 2 * 86_400) return `${Math.round(seconds / 86_400)} days`;
  if (seconds >= 2 * 3_600) return `${Math.round(seconds / 3_600)} hours`;
  return seconds >= 120 ? `${Math.round(seconds / 60)} minutes` : `${seconds} s`;
}
