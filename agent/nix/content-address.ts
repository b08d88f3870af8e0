import { createHash } from 'node:crypto';
import { toBase32 } from './base32.ts';
import { FormatError } from './error.ts';
import { formatHash, type Hash, parseHash, sameHash } from './hash.ts';
import type { Narinfo } from './narinfo.ts';
import { sortedPaths } from './store-path.ts';

/**
 * Whether the store path recomputed from the narinfo's `CA:` is its StorePath, for `text:`, `fixed:` and
 * `fixed:r:` (Nix 2.8, makeTextPath and makeFixedOutputPath in src/libstore/store-api.cc). False without a CA
 * and for any other or malformed one.
 *
 * A true address vouches for the path's contents. NarHash is bound to it only where both hash the same bytes
 * (`fixed:r:sha256` without a reference to itself), and there they must agree; elsewhere an unsigned NarHash
 * stays a claim.
 */
export function contentAddressHolds(narinfo: Narinfo, storeDir: string): boolean {
  const address = parseContentAddress(narinfo.ca ?? '');
  if (address === undefined) return false;
  const { storePath, references, narHash } = narinfo;
  const others = references.filter(({ base }) => base !== storePath.base);
  const self = others.length < references.length;
  const paths = sortedPaths(others, storeDir);
  const expected = (type: string[], digest: Uint8Array) =>
    storePath.hashPart === makeHashPart(type, digest, storeDir, storePath.name);

  const { method, hash } = address;
  if (method === 'text')
    return hash.algorithm === 'sha256' && !self && expected(['text', ...paths], hash.digest);
  if (method === 'fixed:r' && hash.algorithm === 'sha256') {
    return (
      (self || sameHash(hash, narHash)) &&
      expected(['source', ...paths, ...(self ? ['self'] : [])], hash.digest)
    );
  }
  const inner = `fixed:out:${method === 'fixed:r' ? 'r:' : ''}${formatHash(hash, 'base16')}:`;
  return references.length === 0 && expected(['output', 'out'], sha256(inner));
}

/** The narinfo without a `CA:` that does not hold: it is unsigned, and a false one makes Nix abort. */
export function withTrueContentAddress(narinfo: Narinfo, storeDir: string): Narinfo {
  if (narinfo.ca === undefined || contentAddressHolds(narinfo, storeDir)) return narinfo;
  const { ca, ...rest } = narinfo;
  return rest;
}

const methods = ['text', 'fixed:r', 'fixed'] as const;

interface ContentAddress {
  readonly method: (typeof methods)[number];
  readonly hash: Hash;
}

function parseContentAddress(text: string): ContentAddress | undefined {
  const method = methods.find((prefix) => text.startsWith(`${prefix}:`));
  if (method === undefined) return undefined;
  const hash = text.slice(method.length + 1);
  try {
    return hash.includes(':') ? { method, hash: parseHash(hash) } : undefined;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** Nix's makeStorePath: a sha256 over type, digest, store and name, folded to 20 bytes. */
function makeHashPart(type: readonly string[], digest: Uint8Array, storeDir: string, name: string): string {
  const inner = formatHash({ algorithm: 'sha256', digest }, 'base16');
  const folded = new Uint8Array(20);
  sha256([...type, inner, storeDir, name].join(':')).forEach((byte, index) => {
    folded[index % 20] = (folded[index % 20] ?? 0) ^ byte;
  });
  return toBase32(folded);
}

function sha256(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}
