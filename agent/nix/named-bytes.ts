import { fromBase64 } from './base64.ts';
import { FormatError } from './error.ts';

/** Bytes under a name: the form that Nix gives keys and signatures. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * `name:base64` of exactly `byteCount` bytes (Nix 2.8, src/libstore/crypto.cc).
 * `what` says in the error what it was to be; the text itself is never shown, it may be a secret.
 * @throws FormatError for anything else
 */
export function parseNamedBytes(text: string, byteCount: number, what: string): NamedBytes {
  const colon = text.indexOf(':');
  const name = text.slice(0, Math.max(colon, 0));
  if (!isKeyName(name)) {
    throw new FormatError(
      'bad-key-text',
      `A ${what} must be 'name:base64', its name without spaces or colons.`,
    );
  }
  const bytes = fromBase64(text.slice(colon + 1));
  if (bytes.length !== byteCount) {
    throw new FormatError('bad-key-text', `A ${what} must have ${byteCount} bytes, not ${bytes.length}.`);
  }
  return { name, bytes };
}

/** Whether the text can name a key: not empty, without colons, spaces and control characters. */
export function isKeyName(text: string): boolean {
  return /^[^:\s\p{Cc}]+$/u.test(text);
}
