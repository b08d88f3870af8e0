import fc from 'fast-check';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { compressions } from '../../../agent/nix/compression.ts';
import type { Hash, HashAlgorithm } from '../../../agent/nix/hash.ts';
import type { Narinfo } from '../../../agent/nix/narinfo.ts';
import type { Signature } from '../../../agent/nix/signature.ts';
import { parseStoreBase, type StorePath } from '../../../agent/nix/store-path.ts';

export const storeDir = '/nix/store';

export function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

function hashOf(algorithm: HashAlgorithm, length: number): fc.Arbitrary<Hash> {
  return bytes(length).map((digest) => ({ algorithm, digest }));
}

export const sha256Hash = hashOf('sha256', 32);

export const anyHash = fc.oneof(sha256Hash, hashOf('md5', 16), hashOf('sha1', 20), hashOf('sha512', 64));

/** Text of those characters. */
function textOf(characters: string, size: { minLength?: number; maxLength?: number }): fc.Arbitrary<string> {
  return fc.string({ ...size, unit: fc.constantFrom(...characters) });
}

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

export const storePathName = fc
  .oneof(
    textOf(`${letters}+-._?=`, { minLength: 1, maxLength: 40 }),
    textOf('a.-', { minLength: 1, maxLength: 5 }),
    textOf('x', { minLength: 211, maxLength: 211 }),
  )
  .filter((name) => !/^\.\.?(-|$)/.test(name));

export const storePath: fc.Arbitrary<StorePath> = fc
  .tuple(bytes(20), storePathName)
  .map(([digest, name]) => parseStoreBase(`${toBase32(digest)}-${name}`));

export const keyName = textOf(`${letters}.-_/+`, { minLength: 1, maxLength: 30 });

export const signature: fc.Arbitrary<Signature> = fc.record({ keyName, bytes: bytes(64) });

const size = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

const url = fc
  .array(textOf(`${letters}-_~+=`, { minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 3 })
  .chain((segments) =>
    textOf(`${letters}=&/`, { maxLength: 20 }).map((query) => segments.join('/') + (query && `?${query}`)),
  );

/** A line's value: anything without control characters, not blank at its ends. */
const value = fc
  .string({ unit: 'grapheme', maxLength: 30 })
  .map((text) => text.replaceAll(/\p{Cc}/gu, '').trim());

const extraField = fc
  .tuple(textOf(letters, { minLength: 3, maxLength: 12 }), value)
  .filter(
    ([key]) => !/^(CA|Sig|URL|Deriver|References|StorePath|Compression|(Nar|File)(Hash|Size))$/.test(key),
  );

export const narinfo: fc.Arbitrary<Narinfo> = fc.record(
  {
    storePath,
    url,
    compression: fc.constantFrom(...compressions),
    fileHash: sha256Hash,
    fileSize: size,
    narHash: sha256Hash,
    narSize: size,
    references: fc.uniqueArray(storePath, { maxLength: 6, selector: ({ base }) => base }),
    deriver: storePath.map(({ base }) => `${base.slice(0, 200)}.drv`),
    signatures: fc.uniqueArray(signature, { maxLength: 3, selector: ({ bytes }) => bytes.join() }),
    ca: anyHash.map(({ algorithm, digest }) => `fixed:r:${algorithm}:${toBase32(digest)}`),
    extra: fc.array(extraField, { maxLength: 3 }),
  },
  {
    requiredKeys: [
      'storePath',
      'url',
      'compression',
      'narHash',
      'narSize',
      'references',
      'signatures',
      'extra',
    ],
  },
);
