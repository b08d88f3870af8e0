import { FormatError, quote } from './error.ts';

const alphabet = '0123456789abcdfghijklmnpqrsvwxyz';

const digits = new Uint8Array(128).fill(255);
for (let digit = 0; digit < alphabet.length; digit++) digits[alphabet.charCodeAt(digit)] = digit;

/**
 * Bytes in Nix's base32 (Nix 2.8, src/libutil/hash.cc): the bytes are one little-endian number,
 * written with its most significant five bits first.
 */
export function toBase32(bytes: Uint8Array): string {
  // As bytes first: put together from characters, the text would be a tree of as many strings.
  const text = Buffer.allocUnsafe(textLength(bytes.length));
  for (let place = 0; place < text.length; place++) {
    const bit = place * 5;
    const low = bytes[bit >> 3] ?? 0;
    const high = bytes[(bit >> 3) + 1] ?? 0;
    text[text.length - 1 - place] = alphabet.charCodeAt(((low | (high << 8)) >> (bit & 7)) & 31);
  }
  return text.toString('latin1');
}

/**
 * The bytes that `toBase32` wrote.
 * @throws FormatError for other characters, a length that no number of bytes has, or bits beyond the last byte
 */
export function fromBase32(text: string): Uint8Array {
  const bytes = new Uint8Array((text.length * 5) >> 3);
  if (textLength(bytes.length) !== text.length) {
    throw new FormatError('bad-base32', `The base32 text ${quote(text)} has an impossible length.`);
  }
  for (let place = 0; place < text.length; place++) {
    const digit = digits[text.charCodeAt(text.length - 1 - place)] ?? 255;
    if (digit > 31) {
      throw new FormatError(
        'bad-base32',
        `The base32 text ${quote(text)} has a character outside ${alphabet}.`,
      );
    }
    const bit = place * 5;
    const index = bit >> 3;
    const shifted = digit << (bit & 7);
    bytes[index] = (bytes[index] ?? 0) | (shifted & 255);
    if (index + 1 < bytes.length) bytes[index + 1] = shifted >> 8;
    else if (shifted > 255) {
      throw new FormatError(
        'bad-base32',
        `The base32 text ${quote(text)} stands for more bits than its bytes hold.`,
      );
    }
  }
  return bytes;
}

function textLength(byteCount: number): number {
  return Math.ceil((byteCount * 8) / 5);
}
