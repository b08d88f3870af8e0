/**
 * Edits of a narinfo's text, and signatures made with node:crypto alone: the harness must not share a mistake with the agent's
 * own reading of the format, so it uses none of it.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** The value of the first line with this key, '' when there is none. */
export function field(narinfo: string, key: string): string {
  return narinfo.match(new RegExp(`^${key}: ?(.*)$`, 'm'))?.[1] ?? '';
}

/** The narinfo with the value of each named key replaced (a missing line is added), or its lines removed where the value is undefined. */
export function withFields(narinfo: string, fields: Readonly<Record<string, string | undefined>>): string {
  let edited = narinfo;
  for (const [key, value] of Object.entries(fields)) {
    const line = new RegExp(`^${key}:.*\n`, 'm');
    const replacement = value === undefined ? '' : `${key}: ${value}\n`;
    edited = line.test(edited) ? edited.replace(line, () => replacement) : edited + replacement;
  }
  return edited;
}

/** The narinfo signed anew (its old signatures dropped) over what it says now. */
export function signedAnew(narinfo: string, { name, key }: SigningKey): string {
  const references = field(narinfo, 'References').split(' ').filter(Boolean);
  const fingerprint = [
    '1',
    field(narinfo, 'StorePath'),
    field(narinfo, 'NarHash'),
    field(narinfo, 'NarSize'),
    references.map((base) => `/nix/store/${base}`).join(','),
  ].join(';');
  const signature = sign(null, Buffer.from(fingerprint), key).toString('base64');
  return withFields(narinfo, { Sig: `${name}:${signature}` });
}

/** A key with the name under which it signs. */
export interface SigningKey {
  readonly name: string;
  readonly key: KeyObject;
}

/** Reads Nix's `name:base64(seed, public key)` and keeps the seed, which is all that ed25519 needs. */
export async function readSigningKey(file: string): Promise<SigningKey> {
  const [name = '', base64 = ''] = (await readFile(file, 'utf8')).trim().split(':');
  const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  const seed = Buffer.from(base64, 'base64').subarray(0, 32);
  const der = Buffer.concat([pkcs8Prefix, seed]);
  return { name, key: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }) };
}

/** A key that nobody trusts. */
export function unknownKey(name: string): SigningKey {
  return { name, key: generateKeyPairSync('ed25519').privateKey };
}

const base32Alphabet = '0123456789abcdfghijklmnpqrsvwxyz';

/** The digest in Nix's base32, which has its bits in reverse: the last character stands for the lowest five. */
export function digestOfBase32(text: string): Buffer {
  let bits = 0n;
  for (const character of text) bits = (bits << 5n) | BigInt(base32Alphabet.indexOf(character));
  return Buffer.from(bits.toString(16).padStart(64, '0'), 'hex').reverse();
}
