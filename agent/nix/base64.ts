import { FormatError } from './error.ts';

/** Bytes in the usual base64, padded, as Nix writes keys, signatures and SRI hashes. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/**
 * The bytes of base64 text; like Nix 2.8 (src/libutil/util.cc) it may lack its padding.
 * @throws FormatError for anything else; the message leaves the text out, which may be a secret key
 */
export function fromBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  const canonical = bytes.toString('base64');
  if (text !== canonical && text !== canonical.replace(/=+$/, '')) {
    throw new FormatError('bad-base64', 'The text is not base64.');
  }
  return new Uint8Array(bytes); // a copy: a small Buffer would keep its whole 8 KiB pool alive
}
