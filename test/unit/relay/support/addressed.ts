import { toBase32 } from '../../../../agent/nix/base32.ts';
import { formatHash, type Hash } from '../../../../agent/nix/hash.ts';
import type { Narinfo } from '../../../../agent/nix/narinfo.ts';
import { parseStoreBase } from '../../../../agent/nix/store-path.ts';
import { sha256 } from '../../cache/support/sample.ts';
import { sample, storeDir } from '../../source/support/cache-files.ts';

/** An unsigned narinfo of a path by its content, as Nix computes it (2.8, makeStorePath in src/libstore/store-api.cc). */
export function addressed(method: 'text' | 'fixed' | 'fixed:r', hash: Hash, self = false): Narinfo {
  const hex = (digest: Hash) => Buffer.from(digest.digest).toString('hex');
  const [type, inner] =
    method === 'text'
      ? ['text', hash]
      : method === 'fixed:r'
        ? [self ? 'source:self' : 'source', hash]
        : ['output:out', sha256(Buffer.from(`fixed:out:sha256:${hex(hash)}:`))];
  const full = sha256(Buffer.from(`${type}:sha256:${hex(inner)}:${storeDir}:sample`)).digest;
  const folded = full.reduce((bytes, byte, i) => {
    bytes[i % 20] = (bytes[i % 20] ?? 0) ^ byte;
    return bytes;
  }, new Uint8Array(20));
  const storePath = parseStoreBase(`${toBase32(folded)}-sample`);
  return {
    ...sample().narinfo,
    storePath,
    references: self ? [storePath] : [],
    ...(type === 'source' && { narHash: hash }),
    ca: `${method}:${formatHash(hash, 'base32')}`,
  };
}
