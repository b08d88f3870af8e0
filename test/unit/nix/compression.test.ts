import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  compressions,
  fileExtension,
  isDecodable,
  parseCompression,
} from '../../../agent/nix/compression.ts';
import { RealNix } from './real-nix.ts';

test.each(compressions)('%s is read by its exact name only', (compression) => {
  expect(parseCompression(compression)).toBe(compression);
  for (const other of [compression.toUpperCase(), `${compression} `, ` ${compression}`, `${compression}2x`]) {
    expect(parseCompression(other)).toBe(undefined);
  }
});

test.each(['', 'zst', 'brotli', 'bz2', 'gz', 'toString', '__proto__'])('%j is no compression', (text) => {
  expect(parseCompression(text)).toBe(undefined);
});

test('what can be decoded here', () => {
  expect(compressions.filter(isDecodable)).toEqual(['none', 'xz', 'gzip', 'zstd', 'br', 'lzma']);
});

test('no two compressions share a file name', () => {
  expect(new Set(compressions.map(fileExtension)).size).toBe(compressions.length);
});

test('real Nix names files alike, but for the three that it gives no ending', () => {
  using nix = new RealNix();
  nix.run('nix-store', '--add', nix.file('content', 'x'));
  const written = compressions.map((compression) => {
    const cache = join(nix.directory, compression);
    nix.run('nix', 'copy', '--all', '--to', `file://${cache}?compression=${compression}`);
    const [name = ''] = readdirSync(join(cache, 'nar'));
    return [compression, name.slice(name.indexOf('.nar') + '.nar'.length)];
  });
  const bare = new Set(['gzip', 'lzma', 'compress']);
  expect(written).toEqual(compressions.map((name) => [name, bare.has(name) ? '' : fileExtension(name)]));
});
