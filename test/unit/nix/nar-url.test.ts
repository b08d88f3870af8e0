import { expect, test } from 'vitest';
import { isNarUrl } from '../../../agent/nix/nar-url.ts';

test.each([
  'nar/1bn7c3bf5z32cdgylhbp9nzhh6ydib5ngsm6mdhsvf233g0nh1ac.nar.xz',
  'nar/x.nar?hash=y',
  'nar/x.nar?hash=y&a=b/c',
  'x',
  '.hidden/x',
  './x',
  'a..b/..c/d../...',
  'nar/a+b%2Bc.nar',
  'nar/ünï.nar',
  'x?y:z',
  'nar/x:y',
  'a'.repeat(1024),
])('%s stays below its cache', (url) => {
  expect(isNarUrl(url)).toBe(true);
});

test.each([
  '',
  '/nar/x',
  '//host/x',
  '\\\\host\\x',
  '/',
  '?x',
  '#x',
  'http://host/x',
  'HTTPS:x',
  'file:///etc/passwd',
  'data:,x',
  'x+y.z-1:w',
  '..',
  '../x',
  'a/../b',
  'a/..',
  'a/..?x',
  'a/..#x',
  'a?x/../../b',
  'a\\..\\b',
  '%2e%2e/x',
  'a/.%2E/b',
  'a%2f..%2fb',
  'a/%2e%2e',
  '%2fetc/passwd',
  '%5c%5chost',
  'http%3a//host/',
  'a%00b',
  'a%0ab',
  'a b',
  'a%20b',
  'a\tb',
  'a\nb',
  'a\r',
  'a\0',
  'a\x7f',
  'a\u0085',
  '100%',
  '%zz',
  '%ff',
  'a'.repeat(1025),
])('%j does not', (url) => {
  expect(isNarUrl(url)).toBe(false);
});

test('what is accepted resolves to an address below the cache', () => {
  const bases = ['http://cache/', 'http://cache/some/where/'];
  const accepted = ['nar/x.nar?hash=y', './x', 'a..b/..c/d../...', 'x?y:z', 'nar/x:y'].filter(isNarUrl);
  for (const base of bases) {
    for (const url of accepted) expect(new URL(url, base).href.startsWith(base)).toBe(true);
  }
  expect(accepted).toHaveLength(5);
});
