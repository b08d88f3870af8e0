import nacl from 'tweetnacl';
import { toBase64 } from './base64.ts';
import { FormatError, quote } from './error.ts';
import { isKeyName, parseNamedBytes } from './named-bytes.ts';
import type { Signature } from './signature.ts';

let bytesOf: (key: SecretKey) => Uint8Array;

/** A key to sign with. Whatever prints it shows its name only; its bytes never leave this file. */
export class SecretKey {
  readonly name: string;
  readonly #bytes: Uint8Array;

  static {
    bytesOf = (key) => key.#bytes;
  }

  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.#bytes = bytes;
  }

  toString(): string {
    return this.name;
  }
}

/**
 * A new ed25519 key pair as the two texts of `nix-store --generate-binary-cache-key`, without newlines.
 * @throws FormatError when the name is empty or has a colon or white space
 */
export function generateKeyPair(name: string): { secret: string; public: string } {
  if (!isKeyName(name)) {
    throw new FormatError(
      'bad-key-name',
      `A key's name must not be empty or have spaces or colons: ${quote(name)}.`,
    );
  }
  const pair = nacl.sign.keyPair();
  return { secret: `${name}:${toBase64(pair.secretKey)}`, public: `${name}:${toBase64(pair.publicKey)}` };
}

/**
 * `name:base64 of 64 bytes` (seed, then public key), as in Nix's secret-key-files; white space around it is allowed.
 * @throws FormatError for anything else, and when the two halves do not belong together: signing with
 *   such a key would give the secret away
 */
export function parseSecretKey(text: string): SecretKey {
  const { name, bytes } = parseNamedBytes(text.trim(), nacl.sign.secretKeyLength, 'secret key');
  const { secretKey } = nacl.sign.keyPair.fromSeed(bytes.subarray(0, nacl.sign.seedLength));
  if (!nacl.verify(secretKey, bytes)) {
    throw new FormatError(
      'bad-secret-key',
      `The secret key named ${quote(name)} is damaged: its halves do not match.`,
    );
  }
  return new SecretKey(name, bytes);
}

/** The key's signature of the text's UTF-8 bytes. Takes some 5 ms and blocks: not for request paths. */
export function sign(key: SecretKey, text: string): Signature {
  return { keyName: key.name, bytes: nacl.sign.detached(Buffer.from(text), bytesOf(key)) };
}
