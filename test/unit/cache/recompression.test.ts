import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { fetched, sample, sha256, store, twinOf } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

test('with compression = "zstd" an xz NAR is stored anew, for all its paths, and the old file goes', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir, compression: 'zstd' });
  const one = sample({ compression: 'xz', contents: Buffer.alloc(700_000, 'some text') });
  const twin = twinOf(one);
  const other = sample({ compression: 'gzip' });
  await store(cache, one);
  await store(cache, twin);
  await store(cache, other);
  await cache.settled();

  for (const path of [one, twin]) {
    const narinfo = await cache.narinfo(path.narinfo.storePath.hashPart);
    const file = await fetched(cache, path);
    expect(narinfo).toMatchObject({ compression: 'zstd', fileSize: file?.length });
    expect(sha256(file ?? Buffer.alloc(0))).toEqual(narinfo?.fileHash);
    expect(sha256(zstdDecompressSync(file ?? Buffer.alloc(0)))).toEqual(one.narinfo.narHash);
  }
  expect(await fetched(cache, other)).toEqual(other.file);
  expect(await readdir(join(dir, 'nar'))).toHaveLength(2);
  expect(await readdir(join(dir, 'partial'))).toEqual([]);
  expect(cache.stats()).toMatchObject({ paths: 3, nars: 2, partial: { files: 0 } });
});

test('by default everything stays as it came', async () => {
  const cache = await openCache({ dir: await temporaryDirectory() });
  const one = sample({ compression: 'xz' });
  await store(cache, one);
  await cache.settled();
  expect(await fetched(cache, one)).toEqual(one.file);
});

test('what turns out wrong or undecodable on the way is set aside', async () => {
  const cache = await openCache({ dir: await temporaryDirectory(), compression: 'zstd' });
  const [right, wrong, garbage] = [sample({ compression: 'xz' }), sample({ compression: 'xz' }), sample()];
  const another = sample({ compression: 'xz' });
  await store(cache, right);
  await store(cache, { ...another, narinfo: wrong.narinfo });
  await store(cache, { ...garbage, meta: { ...garbage.meta, compression: 'xz' } });
  await cache.settled();
  expect(cache.stats()).toMatchObject({ paths: 1, quarantine: { nars: 2 }, partial: { files: 0 } });
  expect(await cache.narinfo(right.narinfo.storePath.hashPart)).toMatchObject({ compression: 'zstd' });
});
