import { createHash } from 'node:crypto';
import { fromBase32, toBase32 } from '../nix/base32.ts';
import { compressions, fileExtension } from '../nix/compression.ts';
import { isNarHash, type NarHash } from '../nix/hash.ts';
import { type HashPart, isHashPart } from '../nix/store-path.ts';
import { isNarFile, type NarFile } from './layout.ts';
import type { Packing } from './text-table.ts';

/** Hash parts as the 20 bytes that they stand for. */
export const packedHashParts: Packing<HashPart> = {
  width: 20,
  pack: fromBase32,
  unpack: (key) => asserted(toBase32(key), isHashPart),
};

/** Hashes as the 32 bytes that they stand for. */
export const packedNarHashes: Packing<NarHash> = {
  width: 32,
  pack: fromBase32,
  unpack: (key) => asserted(toBase32(key), isNarHash),
};

/**
 * Names as Nix gives them, `<sha256>.nar<extension>`, as the 32 bytes of the hash and one for the extension. Of all others the key has
 * but their own sha256.
 */
export const packedNarFiles: Packing<NarFile> = {
  width: 33,
  pack(name) {
    const key = new Uint8Array(33);
    const hash = name.slice(0, 52);
    const ending = isNarHash(hash) ? endings.indexOf(name.slice(52)) : -1;
    key.set(ending < 0 ? createHash('sha256').update(name).digest() : fromBase32(hash));
    key[32] = ending < 0 ? noEnding : ending;
    return key;
  },
  unpack(key) {
    const ending = endings[key[32] ?? noEnding];
    return ending === undefined
      ? undefined
      : asserted(`${toBase32(key.subarray(0, 32))}${ending}`, isNarFile);
  },
};

const endings = compressions.map((compression) => `.nar${fileExtension(compression)}`);
const noEnding = 255;

function asserted<T extends string>(text: string, is: (text: string) => text is T): T {
  if (is(text)) return text;
  throw new TypeError(`${text} was packed as what it is not`);
}
