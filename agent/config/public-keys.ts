import * as v from 'valibot';
import { type PublicKey, parsePublicKey } from '../nix/signature.ts';
import { list, parsed } from './values.ts';

/** Public keys by name. */
export function publicKeys() {
  return v.pipe(
    list(publicKey(), 'a list of public keys'),
    v.check((keys) => haveNamesOfTheirOwn(keys), 'a list in which different keys have different names'),
    v.transform((keys): ReadonlyMap<string, PublicKey> => new Map(keys.map((one) => [one.name, one]))),
  );
}

function publicKey() {
  return parsed((text) => {
    try {
      return parsePublicKey(text);
    } catch {
      return undefined;
    }
  }, 'a public key as name:base64, such as "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="');
}

function haveNamesOfTheirOwn(keys: readonly PublicKey[]): boolean {
  return keys.every(({ name, key }) => keys.every((other) => other.name !== name || other.key.equals(key)));
}
