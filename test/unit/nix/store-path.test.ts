import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../agent/nix/error.ts';
import {
  isHashPart,
  parseStoreBase,
  parseStorePath,
  printStorePath,
  sortedPaths,
} from '../../../agent/nix/store-path.ts';
import { storeDir, storePath } from './arbitrary.ts';
import { RealNix } from './real-nix.ts';

const hashPart = '0123456789abcdfghijklmnpqrsvwxyz';

test('any store path comes back', () => {
  fc.assert(
    fc.property(storePath, (path) => {
      expect(parseStoreBase(path.base)).toEqual(path);
      expect(parseStorePath(printStorePath(path, storeDir), storeDir)).toEqual(path);
      expect(path.base).toBe(`${path.hashPart}-${path.name}`);
      expect(isHashPart(path.hashPart)).toBe(true);
    }),
  );
});

test.each([
  `/nix/store/${hashPart}`,
  `/nix/store/${hashPart}-`,
  `/nix/store/${hashPart}_a`,
  `/nix/store/${hashPart}-a/b`,
  `/nix/store/${hashPart}-a/`,
  `/nix/store//${hashPart}-a`,
  `/nix/store/../store/${hashPart}-a`,
  `/nix/other/${hashPart}-a`,
  `/nix/storex${hashPart}-a`,
  `${hashPart}-a`,
  ` /nix/store/${hashPart}-a`,
  '/nix/store/',
  '',
])('%j is not a path of /nix/store', (path) => {
  expect(() => parseStorePath(path, storeDir)).toThrow(FormatError);
});

test('a path belongs to the store that it names', () => {
  const path = `/gnu/store/${hashPart}-a`;
  expect(parseStorePath(path, '/gnu/store').name).toBe('a');
  expect(() => parseStorePath(path, storeDir)).toThrow(FormatError);
});

test.each(['e', 'o', 'u', 't', 'A', '-', '.'])('a hash part has no %j', (character) => {
  const text = character + hashPart.slice(1);
  expect(isHashPart(text)).toBe(false);
  expect(() => parseStoreBase(`${text}-a`)).toThrow(FormatError);
});

test.each([hashPart.slice(1), `${hashPart}0`, `${hashPart}\n`, ''])('%j is no hash part', (text) => {
  expect(isHashPart(text)).toBe(false);
});

const names = ['.a', '...', '.a-b', '+-._?=', '-', '1', 'A'.repeat(211)];
const illegalNames = ['A'.repeat(212), 'a b', 'a/b', 'a\nb', 'a\n', 'é', 'a*', '~a', 'a:b', 'a,b', '%41'];
const namesThatLaterNixRefuses = ['.', '..', '.-a', '..-', '..-a'];

test.each(names)('%j can name a store path', (name) => {
  expect(parseStoreBase(`${hashPart}-${name}`).name).toBe(name);
});

test.each([...illegalNames, ...namesThatLaterNixRefuses])('%j cannot name a store path', (name) => {
  expect(() => parseStoreBase(`${hashPart}-${name}`)).toThrow(FormatError);
});

test('sorted paths are full, in byte order, each once', () => {
  const paths = ['b-a', 'a-b', 'b-a', 'a-B'].map((end) => parseStoreBase(hashPart.slice(1) + end));
  expect(sortedPaths(paths, '/s').map((path) => path.slice(34))).toEqual(['a-B', 'a-b', 'b-a']);
});

describe('real Nix', () => {
  test('agrees on names', () => {
    using nix = new RealNix();
    const accepts = (name: string) => {
      try {
        nix.run('nix-instantiate', '--eval', '-E', `builtins.toFile ${JSON.stringify(name)} ""`);
        return true;
      } catch {
        return false;
      }
    };
    expect(names.filter((name) => !accepts(name))).toEqual([]);
    expect(illegalNames.filter(accepts)).toEqual([]);
  });
});
