import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { toBase64 } from './base64.ts';
import { formatHash, type Hash } from './hash.ts';
import { parseNamedBytes } from './named-bytes.ts';
import { printStorePath, type StorePath, sortedPaths } from './store-path.ts';

/** An ed25519 signature and the name of the key that is said to have made it. */
export interface Signature {
  readonly keyName: string;
  /** 64 bytes. */
  readonly bytes: Uint8Array;
}

/** A key to verify with, ready for node:crypto. */
export interface PublicKey {
  readonly name: string;
  readonly key: KeyObject;
}

/** What a signature vouches for; nothing else in a narinfo is signed. */
export interface Signable {
  readonly storePath: StorePath;
  readonly narHash: Hash;
  /** Bytes. */
  readonly narSize: number;
  readonly references: readonly StorePath[];
}

/** More signatures of one narinfo than this are not looked at: honest ones have a few, and each costs some 0.1 ms. */
export const maxSignatures = 64;

/**
 * `name:base64 of 32 bytes`, as in nix.conf's trusted-public-keys; white space around it is allowed.
 * @throws FormatError for anything else
 */
export function parsePublicKey(text: string): PublicKey {
  const { name, bytes } = parseNamedBytes(text.trim(), 32, 'public key');
  const x = Buffer.from(bytes).toString('base64url');
  return { name, key: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }) };
}

/**
 * `name:base64 of 64 bytes`, as in a narinfo's Sig.
 * @throws FormatError for anything else
 */
export function parseSignature(text: string): Signature {
  const { name, bytes } = parseNamedBytes(text, 64, 'signature');
  return { keyName: name, bytes };
}

/** The signature as a narinfo's Sig has it. */
export function printSignature(signature: Signature): string {
  return `${signature.keyName}:${toBase64(signature.bytes)}`;
}

/**
 * The text that is signed: `1;path;sha256:base32;size;reference,reference`, with full paths, the references
 * sorted and each once (Nix 2.8, ValidPathInfo::fingerprint in src/libstore/store-api.cc).
 */
export function fingerprint(narinfo: Signable, storeDir: string): string {
  return [
    '1',
    printStorePath(narinfo.storePath, storeDir),
    formatHash(narinfo.narHash, 'base32'),
    narinfo.narSize,
    sortedPaths(narinfo.references, storeDir).join(','),
  ].join(';');
}

/**
 * The name of the first key among `keys` (by name) that truly signed the narinfo, or undefined.
 * A signature under a trusted name that does not verify counts for nothing, and the next one is tried.
 */
export function trustedSigner(
  narinfo: Signable & { readonly signatures: readonly Signature[] },
  storeDir: string,
  keys: ReadonlyMap<string, PublicKey>,
): string | undefined {
  const candidates = narinfo.signatures.filter(({ keyName }) => keys.has(keyName)).slice(0, maxSignatures);
  if (candidates.length === 0) return undefined;
  const signed = Buffer.from(fingerprint(narinfo, storeDir));
  return candidates.find(({ keyName, bytes }) => {
    const publicKey = keys.get(keyName);
    return publicKey !== undefined && verify(null, signed, publicKey.key, bytes);
  })?.keyName;
}
