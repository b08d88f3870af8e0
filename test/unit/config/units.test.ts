import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDuration, parseSize, printDuration, printSize } from '../../../agent/config/units.ts';

describe('durations', () => {
  test.each([
    ['0', 0],
    ['0s', 0],
    ['150ms', 150],
    ['5s', 5_000],
    ['2min', 120_000],
    ['1h', 3_600_000],
    ['14d', 1_209_600_000],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    '',
    '5',
    '-5s',
    '1.5h',
    '1e3ms',
    '5 s',
    '5S',
    '5m',
    ' 5s',
    '5s\n',
    '05s',
    '5GiB',
    '5toString',
    '9999999999999999d',
  ])('%j is none', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test('every printed one is read again as the same', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (ms) => parseDuration(printDuration(ms)) === ms));
  });

  test('the largest exact unit is printed', () => {
    expect([0, 1, 1_500, 60_000, 5_400_000, 172_800_000].map(printDuration)).toEqual([
      '0',
      '1ms',
      '1500ms',
      '1min',
      '90min',
      '2d',
    ]);
  });
});

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['100B', 100],
    ['1KiB', 1_024],
    ['512MiB', 536_870_912],
    ['20GiB', 21_474_836_480],
    ['2TiB', 2_199_023_255_552],
  ])('%s is %i bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    '',
    '20',
    '1e9',
    '1e9B',
    '20GB',
    '20 GiB',
    '20gib',
    '20G',
    '-1B',
    '1.5GiB',
    '5s',
    '9000000000TiB',
  ])('%j is none', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });

  test('every printed one is read again as the same', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseSize(printSize(bytes)) === bytes));
  });

  test('the largest exact unit is printed', () => {
    expect([0, 1, 1_025, 1_536, 2 ** 30, 2 ** 41].map(printSize)).toEqual([
      '0',
      '1B',
      '1025B',
      '1536B',
      '1GiB',
      '2TiB',
    ]);
  });
});
