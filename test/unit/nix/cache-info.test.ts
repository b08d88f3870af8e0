import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CacheInfo, parseCacheInfo, printCacheInfo } from '../../../agent/nix/cache-info.ts';
import { FormatError } from '../../../agent/nix/error.ts';
import { RealNix } from './real-nix.ts';

const cacheInfo: fc.Arbitrary<CacheInfo> = fc.record(
  {
    storeDir: fc.webPath({ size: 'small' }).map((path) => `/${path}`),
    wantMassQuery: fc.boolean(),
    priority: fc.nat({ max: 999_999_999 }),
  },
  { requiredKeys: ['wantMassQuery'] },
);

test('any cache-info comes back', () => {
  fc.assert(
    fc.property(cacheInfo, (info) => {
      expect(parseCacheInfo(printCacheInfo(info))).toEqual(info);
    }),
  );
});

test("it is written as caches' own", () => {
  const text = 'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n';
  const info = { storeDir: '/nix/store', wantMassQuery: true, priority: 40 };
  expect(parseCacheInfo(text)).toEqual(info);
  expect(printCacheInfo(info)).toBe(text);
});

test('CRLF, no last newline, blank and unknown lines, missing or many spaces do no harm', () => {
  expect(parseCacheInfo('\r\nStoreDir:/nix/store\r\nColour: blue\r\nhm\r\nPriority:   7  ')).toEqual({
    storeDir: '/nix/store',
    wantMassQuery: false,
    priority: 7,
  });
});

test.each(['', 'x', '-1', '1.5', '1e3', '0x10', '4 0', '12345678901234567890'])(
  'a Priority of %j is ignored',
  (priority) => {
    expect(parseCacheInfo(`WantMassQuery: 1\nPriority: ${priority}\n`)).toEqual({ wantMassQuery: true });
  },
);

test.each(['0', 'true', 'yes', '', '11'])('a WantMassQuery of %j means no', (value) => {
  expect(parseCacheInfo(`WantMassQuery: ${value}\n`).wantMassQuery).toBe(false);
});

test.each([
  ['an empty file', ''],
  ['white space', ' \n\n'],
  ['HTML', '<!DOCTYPE html>\n<html><body style="color: red">StoreDir: login first</body></html>\n'],
  ['a narinfo', 'StorePath: /nix/store/x\nURL: nar/x.nar\n'],
  ['a relative StoreDir', 'StoreDir: nix/store\n'],
  ['an empty StoreDir', 'StoreDir:\n'],
  ['a StoreDir with a control character', 'StoreDir: /nix\r/store\n'],
  ['more than 64 KiB', `StoreDir: /nix/store\n${'#'.repeat(65536)}`],
])('%s is not a cache-info', (_, text) => {
  expect(() => parseCacheInfo(text)).toThrow(FormatError);
});

describe('real Nix', () => {
  test('writes a cache-info that is read', () => {
    using nix = new RealNix();
    nix.run('nix', 'copy', '--all', '--to', `file://${nix.directory}/cache`);
    expect(parseCacheInfo(nix.read('cache/nix-cache-info'))).toEqual({
      storeDir: '/nix/store',
      wantMassQuery: false,
    });
  });
});
