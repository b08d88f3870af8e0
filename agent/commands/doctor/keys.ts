import { FormatError } from '../../nix/error.ts';
import { type PublicKey, parsePublicKey } from '../../nix/signature.ts';
import { type Finding, fault, ok, warning } from './finding.ts';
import type { NixSettings } from './nix-settings.ts';

/** Whether Nix believes what the agent believes: both check every signature. */
export function checkKeys(
  { trustedPublicKeys }: Pick<NixSettings, 'trustedPublicKeys'>,
  agents: ReadonlyMap<string, PublicKey>,
  file: string,
): Finding {
  const nixs = new Map(trustedPublicKeys.flatMap(readKey));
  const differing = [...agents.keys()].filter(
    (name) => nixs.has(name) && !same(nixs.get(name), agents.get(name)),
  );
  if (differing.length > 0)
    return fault(`Nix and narrowcast have different keys of the name ${differing.join(', ')}.`, {
      cure: `compare trusted-public-keys in ${file} and in the configuration of narrowcast`,
    });
  const unknownToNix = [...agents].filter(([name]) => !nixs.has(name));
  if (unknownToNix.length > 0)
    return fault(
      `Nix does not trust ${unknownToNix.map(([name]) => name).join(', ')}: it refuses what narrowcast gives with that signature.`,
      {
        cure: `in ${file}: extra-trusted-public-keys = ${unknownToNix.map(([, key]) => print(key)).join(' ')}`,
        nixos: `nix.settings.trusted-public-keys = [ ${unknownToNix.map(([, key]) => `"${print(key)}"`).join(' ')} ];`,
      },
    );
  const unknownToUs = [...nixs.keys()].filter((name) => !agents.has(name));
  if (unknownToUs.length > 0)
    return warning(
      `Nix trusts ${unknownToUs.join(', ')} and narrowcast does not: a path that only this key has signed is 'not here'.`,
      { cure: 'add it to trusted-public-keys in the configuration of narrowcast' },
    );
  return ok(`Both trust ${[...agents.keys()].join(', ')}.`);
}

function readKey(text: string): [string, PublicKey][] {
  try {
    const key = parsePublicKey(text);
    return [[key.name, key]];
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}

function same(a: PublicKey | undefined, b: PublicKey | undefined): boolean {
  return a !== undefined && b !== undefined && a.key.equals(b.key);
}

/** `name:base64`, as nix.conf has it. */
function print({ name, key }: PublicKey): string {
  const { x = '' } = key.export({ format: 'jwk' });
  return `${name}:${Buffer.from(x, 'base64url').toString('base64')}`;
}
