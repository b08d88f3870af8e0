import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../agent/nix/error.ts';
import { formatHash, isNarHash, narHashOf, parseHash, sameHash } from '../../../agent/nix/hash.ts';
import { anyHash, sha256Hash } from './arbitrary.ts';
import { RealNix } from './real-nix.ts';

const encodings = ['base32', 'base16', 'sri'] as const;

test.each(encodings)('any hash comes back from %s', (encoding) => {
  fc.assert(
    fc.property(anyHash, (hash) => {
      expect(sameHash(parseHash(formatHash(hash, encoding)), hash)).toBe(true);
      expect(sameHash(parseHash(formatHash(hash, encoding), hash.algorithm), hash)).toBe(true);
    }),
  );
});

test('a digest alone is read when its algorithm is known, in base32, base16 and base64', () => {
  fc.assert(
    fc.property(anyHash, (hash) => {
      for (const encoding of encodings) {
        const digest = formatHash(hash, encoding).slice(hash.algorithm.length + 1);
        expect(sameHash(parseHash(digest, hash.algorithm), hash)).toBe(true);
        expect(() => parseHash(digest)).toThrow(FormatError);
      }
    }),
  );
});

test('hashes are the same only when algorithm and digest are', () => {
  const sha1 = parseHash(`sha1:${'0'.repeat(40)}`);
  expect(sameHash(sha1, parseHash(`sha1:${'0'.repeat(39)}1`))).toBe(false);
  expect(sameHash(sha1, { algorithm: 'sha256', digest: sha1.digest })).toBe(false);
});

test.each([
  '',
  'sha256',
  'sha256:',
  'sha256-',
  ':',
  'sha256:0',
  `sha3:${'0'.repeat(64)}`,
  `SHA256:${'0'.repeat(64)}`,
  `sha256:${'0'.repeat(63)}g`,
  `sha256:${'0'.repeat(65)}`,
  `sha256:${'e'.repeat(52)}`,
  `sha256:z${'0'.repeat(51)}`,
  `sha256-${'0'.repeat(64)}`,
  `sha256-${'*'.repeat(44)}`,
  `sha256-${'A'.repeat(43)}B`,
  `sha1:sha1:${'0'.repeat(40)}`,
])('%j is not a hash', (text) => {
  expect(() => parseHash(text)).toThrow(FormatError);
});

test('a hash of another algorithm than the expected one is refused', () => {
  expect(() => parseHash(`sha1:${'0'.repeat(40)}`, 'sha256')).toThrow(FormatError);
});

test('the hash of a NAR is the 52 base32 characters of a sha256', () => {
  fc.assert(
    fc.property(sha256Hash, (hash) => {
      const narHash = narHashOf(hash);
      expect(`sha256:${narHash}`).toBe(formatHash(hash, 'base32'));
      expect(isNarHash(narHash)).toBe(true);
    }),
  );
  expect(() => narHashOf(parseHash(`sha1:${'0'.repeat(40)}`))).toThrow(FormatError);
});

test.each([
  '',
  '0'.repeat(51),
  '0'.repeat(53),
  `2${'0'.repeat(51)}`,
  `${'0'.repeat(51)}e`,
  `${'0'.repeat(52)}\n`,
])('%j is no NarHash', (text) => {
  expect(isNarHash(text)).toBe(false);
});

describe('real Nix', () => {
  test.each(['md5', 'sha1', 'sha256', 'sha512'] as const)('writes %s as we do', (algorithm) => {
    using nix = new RealNix();
    const hashes = fc.sample(
      anyHash.filter((hash) => hash.algorithm === algorithm),
      5,
    );
    const digests = hashes.map((hash) => formatHash(hash, 'base16').slice(algorithm.length + 1));
    const base32 = nix
      .run('nix-hash', '--type', algorithm, '--to-base32', ...digests)
      .trim()
      .split('\n');
    const sri = nix
      .run('nix', 'hash', 'to-sri', '--type', algorithm, ...digests)
      .trim()
      .split('\n');
    expect(hashes.map((hash) => formatHash(hash, 'base32'))).toEqual(
      base32.map((text) => `${algorithm}:${text}`),
    );
    expect(hashes.map((hash) => formatHash(hash, 'sri'))).toEqual(sri);
    expect(base32.map((text) => parseHash(text, algorithm))).toEqual(sri.map((text) => parseHash(text)));
  });
});
