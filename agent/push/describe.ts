import { withTrueContentAddress } from '../nix/content-address.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { type SecretKey, sign } from '../nix/secret-key.ts';
import {
  fingerprint,
  maxSignatures,
  type PublicKey,
  type Signature,
  trustedSigner,
} from '../nix/signature.ts';
import type { Packing } from './packing.ts';
import type { PathInfo } from './path-info.ts';
import type { SpoolFile } from './spool.ts';

/** Who vouches for what is pushed. */
export interface Signing {
  readonly storeDir: string;
  /** A signature by one of these is enough. */
  readonly trusted: ReadonlyMap<string, PublicKey>;
  /** Signs what none of them has signed. */
  readonly key: SecretKey | undefined;
}

/** The narinfo of a path whose packed NAR is that file: with the signatures that it has, and ours where it needs one. */
export function describe(
  info: PathInfo,
  { url, fileHash, size }: Pick<SpoolFile, 'url' | 'fileHash' | 'size'>,
  { compression }: Packing,
  signing: Signing,
): Narinfo {
  const { signatures, ...rest } = info;
  const narinfo: Narinfo = {
    ...rest,
    url,
    compression,
    fileHash,
    fileSize: size,
    signatures: [...signature(info, signing), ...signatures].slice(0, maxSignatures),
    extra: [],
  };
  return withTrueContentAddress(narinfo, signing.storeDir);
}

/** Whether nobody has signed the path and we cannot: a content address alone is not enough for an upload. */
export function isUnsigned({ signatures }: PathInfo, { key }: Signing): boolean {
  return signatures.length === 0 && key === undefined;
}

function signature(info: PathInfo, { storeDir, trusted, key }: Signing): Signature[] {
  if (key === undefined || trustedSigner(info, storeDir, trusted) !== undefined) return [];
  return [sign(key, fingerprint(info, storeDir))];
}
