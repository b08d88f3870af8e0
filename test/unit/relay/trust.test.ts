import { describe, expect, test } from 'vitest';
import { contentAddressHolds } from '../../../agent/nix/content-address.ts';
import { formatHash, type Hash } from '../../../agent/nix/hash.ts';
import type { Narinfo } from '../../../agent/nix/narinfo.ts';
import { Trust } from '../../../agent/relay/trust.ts';
import { sha256 } from '../cache/support/sample.ts';
import { sample, signed, storeDir, testKey } from '../source/support/cache-files.ts';
import { addressed } from './support/addressed.ts';

const key = testKey();
const trust = new Trust(storeDir, key.trusted);
const plain = sample().narinfo;
const lie: Hash = sha256(Buffer.from('another NAR'));

describe('a narinfo counts', () => {
  test.for([true, false])('when a trusted key has signed it, from a configured source: %s', (configured) => {
    const narinfo = signed(plain, key);
    expect(trust.judge(narinfo, configured)).toEqual({ narinfo, by: 'cache.example-1' });
    expect(trust.judge(plain, configured)).toBeUndefined();
    expect(trust.judge(signed(plain, testKey('other-1')), configured)).toBeUndefined();
  });

  test('without an address that does not hold, when it is signed', () => {
    const narinfo = signed(plain, key);
    const ca = `fixed:r:${formatHash(lie, 'base32')}`;
    expect(trust.judge({ ...narinfo, ca }, false)).toEqual({ narinfo, by: 'cache.example-1' });
    expect(trust.judge({ ...plain, ca }, true)).toBeUndefined();
  });
});

describe('a content-addressed path without a signature', () => {
  const recursive = addressed('fixed:r', plain.narHash);
  const others: readonly (readonly [string, Narinfo])[] = [
    ['a text', addressed('text', sha256(Buffer.from('text')))],
    ['a flat file', addressed('fixed', sha256(Buffer.from('file')))],
    ['a recursive one that refers to itself', addressed('fixed:r', sha256(Buffer.from('modulo self')), true)],
  ];

  test.for([true, false])('counts by the hash of its NAR, from a configured source: %s', (configured) => {
    expect(trust.judge(recursive, configured)).toEqual({ narinfo: recursive, by: 'content address' });
    expect(trust.judge({ ...recursive, narHash: lie }, configured)).toBeUndefined();
  });

  test.for(others)('by another hash counts from a configured source: %s', ([_, narinfo]) => {
    expect(trust.judge(narinfo, true)).toEqual({ narinfo, by: 'content address' });
  });

  test.for(others)(
    'by another hash does not from a source that nobody named, for its NarHash may be a lie: %s',
    ([_, narinfo]) => {
      // The address holds all the same: nothing but the source's standing speaks against it.
      const spoilt = { ...narinfo, narHash: lie };
      expect(contentAddressHolds(spoilt, storeDir)).toBe(true);
      expect(trust.judge(spoilt, false)).toBeUndefined();
      expect(trust.judge(narinfo, false)).toBeUndefined();
    },
  );

  test.for(others)('by another hash counts from anybody when it is signed: %s', ([_, narinfo]) => {
    expect(trust.judge(signed(narinfo, key), false)).toMatchObject({ by: 'cache.example-1' });
  });
});
