import { fromBase32, toBase32 } from './base32.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { FormatError, quote } from './error.ts';

/** The algorithms of Nix 2.8. */
export type HashAlgorithm = 'md5' | 'sha1' | 'sha256' | 'sha512';

/** A digest and how it was made. */
export interface Hash {
  readonly algorithm: HashAlgorithm;
  readonly digest: Uint8Array;
}

declare const brand: unique symbol;

/** A sha256 as 52 base32 characters: the form that is a map key and stands in URLs. */
export type NarHash = string & { readonly [brand]: 'NarHash' };

const digestBytes: Readonly<Record<HashAlgorithm, number>> = { md5: 16, sha1: 20, sha256: 32, sha512: 64 };

/**
 * A hash as Nix writes it: `sha256:` and base32, base16 or base64 (told apart by length), or `sha256-` and
 * base64 (SRI); the digest alone when `algorithm` is given (Nix 2.8, src/libutil/hash.cc).
 * @throws FormatError for anything else, or an algorithm other than the given one
 */
export function parseHash(text: string, algorithm?: HashAlgorithm): Hash {
  const separator = text.search(/[:-]/);
  const named = separator < 0 ? algorithm : parseAlgorithm(text.slice(0, separator));
  if (named === undefined || (algorithm !== undefined && named !== algorithm)) {
    throw new FormatError(
      'bad-hash',
      `The hash ${quote(text)} does not name ${algorithm ?? 'a known algorithm'}.`,
    );
  }
  const decode = text[separator] === '-' ? fromBase64 : fromAnyBase;
  const digest = decode(text.slice(separator + 1), digestBytes[named]);
  if (digest.length !== digestBytes[named]) {
    throw new FormatError('bad-hash', `The hash ${quote(text)} has the wrong length for ${named}.`);
  }
  return { algorithm: named, digest };
}

/** A hash as text: `sha256:…` in base32 or base16, or `sha256-…` in base64 for `sri`. */
export function formatHash(hash: Hash, encoding: 'base32' | 'base16' | 'sri'): string {
  switch (encoding) {
    case 'base32':
      return `${hash.algorithm}:${toBase32(hash.digest)}`;
    case 'base16':
      return `${hash.algorithm}:${Buffer.from(hash.digest).toString('hex')}`;
    case 'sri':
      return `${hash.algorithm}-${toBase64(hash.digest)}`;
  }
}

/** Whether two hashes have the same algorithm and the same digest. */
export function sameHash(a: Hash, b: Hash): boolean {
  return a.algorithm === b.algorithm && Buffer.compare(a.digest, b.digest) === 0;
}

/**
 * A sha256 in the form used as key.
 * @throws FormatError for another algorithm
 */
export function narHashOf(hash: Hash): NarHash {
  const text = toBase32(hash.digest);
  if (hash.algorithm !== 'sha256' || !isNarHash(text)) {
    throw new FormatError('bad-hash', `A NAR's hash must be a sha256, not a ${hash.algorithm}.`);
  }
  return text;
}

/** Whether the text is a sha256 in base32 (its first character holds a single bit). */
export function isNarHash(text: string): text is NarHash {
  return /^[01][0-9a-df-np-sv-z]{51}$/.test(text);
}

function parseAlgorithm(text: string): HashAlgorithm | undefined {
  return text === 'sha256' || text === 'sha1' || text === 'md5' || text === 'sha512' ? text : undefined;
}

function fromAnyBase(text: string, byteCount: number): Uint8Array {
  switch (text.length) {
    case byteCount * 2:
      return fromBase16(text);
    case Math.ceil((byteCount * 8) / 5):
      return fromBase32(text);
    default:
      return fromBase64(text);
  }
}

function fromBase16(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]*$/.test(text))
    throw new FormatError('bad-hash', `The hash ${quote(text)} is not base16.`);
  return new Uint8Array(Buffer.from(text, 'hex'));
}
