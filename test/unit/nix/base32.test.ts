import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromBase32, toBase32 } from '../../../agent/nix/base32.ts';
import { FormatError } from '../../../agent/nix/error.ts';

test('any bytes come back from base32', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(fromBase32(toBase32(bytes))).toEqual(bytes);
    }),
  );
});

test('a text of the alphabet is the one text of its bytes, or refused', () => {
  const alphabet = [...'0123456789abcdfghijklmnpqrsvwxyz'];
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 60 }), (text) => {
      const bytes = orFormatError(() => fromBase32(text));
      if (bytes !== undefined) expect(toBase32(bytes)).toBe(text);
    }),
  );
});

test.each(['e', 'o', 'u', 't', 'A', '-', ' ', 'é', '€', '\0'])('%j is not a base32 digit', (character) => {
  expect(() => fromBase32(`0${character}`)).toThrow(FormatError);
  expect(() => fromBase32(`${character}0`)).toThrow(FormatError);
});

test.each([1, 3, 6, 9, 11, 33])('no bytes have a base32 text of %i characters', (length) => {
  expect(() => fromBase32('0'.repeat(length))).toThrow(FormatError);
});

test('bits beyond the last byte are refused', () => {
  expect(fromBase32('7z')).toEqual(Uint8Array.of(255));
  expect(() => fromBase32('8z')).toThrow(FormatError);
});

function orFormatError<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return undefined;
  }
}
