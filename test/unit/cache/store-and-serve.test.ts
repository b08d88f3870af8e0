import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { realFiles } from '../../../agent/cache/files.ts';
import { parseNarinfo, printNarinfo } from '../../../agent/nix/narinfo.ts';
import { collected, fetched, pathsOf, sample, store, storeDir, twinOf } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

test('what was stored is served, and lies where nix copy would have put it', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const one = sample({ compression: 'zstd' });
  const { hashPart } = one.narinfo.storePath;
  expect(await cache.narinfo(hashPart)).toBeUndefined();
  expect(await store(cache, one)).toBe(true);

  const { nar, narinfo } = pathsOf(dir, one);
  expect(await readFile(nar)).toEqual(one.file);
  const written = parseNarinfo(await readFile(narinfo, 'utf8'), storeDir);
  expect(written).toEqual({
    ...one.narinfo,
    url: nar.slice(dir.length + 1),
    fileHash: one.fileHash,
    fileSize: one.file.length,
  });
  expect(await cache.narinfo(hashPart)).toEqual(written);
  expect(await fetched(cache, one)).toEqual(one.file);
  expect(await readdir(join(dir, 'partial'))).toEqual([]);
  expect(await readFile(join(dir, 'nix-cache-info'), 'utf8')).toContain('StoreDir: /nix/store\n');
  expect(cache.stats()).toMatchObject({ paths: 1, nars: 1, bytes: 8192, partial: { files: 0, bytes: 0 } });
});

test('a stored NAR can be read from any byte on, and not once it is closed', async () => {
  const cache = await openCache({ dir: await temporaryDirectory() });
  const big = sample({ contents: Buffer.alloc(600_000, 'narrowcast') });
  await store(cache, big);
  const narinfo = await cache.narinfo(big.narinfo.storePath.hashPart);
  const file = narinfo && (await cache.open(narinfo));
  if (file === undefined) throw new Error('not stored');
  expect(file.size).toBe(big.file.length);
  for (const offset of [0, 1, 262_143, 262_144, 599_999, big.file.length]) {
    expect(await collected(file.read(offset))).toEqual(big.file.subarray(offset));
  }
  const suspended = file.read(0)[Symbol.asyncIterator]();
  await suspended.next();
  await file.close();
  await expect(suspended.next()).rejects.toMatchObject({ code: 'cache-read' });
  await expect(collected(file.read(0))).rejects.toMatchObject({ code: 'cache-read' });
});

test('a narinfo reads as absent when its NAR is gone, cut short or not in nar/, or when it is about another path', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const [gone, cut, elsewhere, other] = [sample(), sample(), sample(), sample()];
  for (const each of [gone, cut, elsewhere, other]) await store(cache, each);

  await rm(pathsOf(dir, gone).nar);
  await truncate(pathsOf(dir, cut).nar, cut.file.length - 1);
  const misplaced = printNarinfo({ ...elsewhere.narinfo, url: 'nix-cache-info' }, storeDir);
  await writeFile(pathsOf(dir, elsewhere).narinfo, misplaced);
  const aboutGone = await readFile(pathsOf(dir, gone).narinfo);
  await writeFile(pathsOf(dir, other).narinfo, aboutGone);

  for (const each of [gone, cut, elsewhere, other]) {
    expect(await cache.narinfo(each.narinfo.storePath.hashPart)).toBeUndefined();
  }
  expect(cache.stats().failedReads).toBe(0);
});

test('a NAR that went away after its narinfo was read cannot be opened', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const one = sample();
  await store(cache, one);
  const narinfo = await cache.narinfo(one.narinfo.storePath.hashPart);
  await rm(pathsOf(dir, one).nar);
  expect(narinfo && (await cache.open(narinfo))).toBeUndefined();
});

test('before the directory has been read, a NAR that lost a path stays for those that may name it, too', async () => {
  const dir = await temporaryDirectory();
  const before = await openCache({ dir });
  const [one, next] = [sample(), sample()];
  const twin = twinOf(one);
  await store(before, one);
  expect(await before.adopt(twin.narinfo)).toBeDefined();
  await before.close();

  const reading = Promise.withResolvers<void>();
  const list = async (directory: string) => {
    if (directory === dir) await reading.promise;
    return realFiles.list(directory);
  };
  const cache = await openCache({ dir }, { files: { ...realFiles, list } });
  onTestFinished(() => reading.resolve());
  expect(await fetched(cache, one)).toEqual(one.file);
  const anew = { ...next, narinfo: { ...next.narinfo, storePath: one.narinfo.storePath } };
  expect(await store(cache, anew)).toBe(true);
  expect(await fetched(cache, one)).toEqual(next.file);
  expect(await fetched(cache, twin)).toEqual(one.file);
  reading.resolve();
  await cache.settled();
  expect(cache.stats()).toMatchObject({ paths: 2, nars: 2 });
});

test('a path with the NAR of another path is adopted without a byte of it', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const one = sample({ compression: 'gzip' });
  const twin = twinOf(one);
  expect(await cache.adopt(twin.narinfo)).toBeUndefined();
  await store(cache, one);
  expect(await cache.adopt({ ...twin.narinfo, narSize: twin.narinfo.narSize + 1 })).toBeUndefined();

  const adopted = await cache.adopt({ ...twin.narinfo, compression: 'xz', fileSize: 7 });
  expect(adopted).toMatchObject({ compression: 'gzip', fileSize: one.file.length });
  expect(await cache.narinfo(twin.narinfo.storePath.hashPart)).toEqual(adopted);
  expect(await fetched(cache, twin)).toEqual(one.file);
  expect(await readdir(join(dir, 'nar'))).toHaveLength(1);
});

test('a path stored again as another file takes its new file, and the old one goes', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const contents = Buffer.alloc(5000, 'x');
  const plain = sample({ contents });
  const zstd = { ...sample({ contents, compression: 'zstd' }), narinfo: plain.narinfo };
  await store(cache, plain);
  await store(cache, zstd);
  expect(await fetched(cache, plain)).toEqual(zstd.file);
  expect(await readdir(join(dir, 'nar'))).toHaveLength(1);
  expect(cache.stats()).toMatchObject({ paths: 1, nars: 1 });
});

test('a wrong NAR is set aside with every narinfo that names it, and can be stored again', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const one = sample();
  const twin = twinOf(one);
  const bystander = sample();
  await store(cache, one);
  await cache.adopt(twin.narinfo);
  await store(cache, bystander);
  await writeFile(pathsOf(dir, one).nar, Buffer.alloc(one.file.length));

  const narinfo = await cache.narinfo(twin.narinfo.storePath.hashPart);
  if (narinfo === undefined) throw new Error('not stored');
  await cache.quarantine(narinfo, 'a bit flipped');
  for (const each of [one, twin]) expect(await fetched(cache, each)).toBeUndefined();
  expect(await readdir(join(dir, 'quarantine'))).toHaveLength(3);
  expect(cache.stats()).toMatchObject({ paths: 1, quarantine: { nars: 1, bytes: expect.any(Number) } });

  await store(cache, one);
  expect(await fetched(cache, one)).toEqual(one.file);
  expect(await fetched(cache, bystander)).toEqual(bystander.file);
});

test('a file closes when the reads under way are done, and no sooner', async () => {
  const path = join(await temporaryDirectory(), 'file');
  const bytes = Buffer.alloc(1_000_000, 'bytes');
  await writeFile(path, bytes);
  for (let n = 0; n < 100; n += 1) {
    const file = await realFiles.open(path, 'read');
    const buffer = Buffer.alloc(bytes.length);
    const read = file.read(buffer, 0);
    await Promise.all([file.close(), file.close()]);
    expect(await read).toBe(bytes.length);
    expect(buffer.equals(bytes)).toBe(true);
    await expect(file.read(buffer, 0)).rejects.toMatchObject({ code: 'EBADF' });
  }
});

test('many transfers that end at the same time are all stored', async () => {
  const cache = await openCache({ dir: await temporaryDirectory() });
  const samples = Array.from({ length: 50 }, () => sample());
  expect(await Promise.all(samples.map((each) => store(cache, each)))).not.toContain(false);
  for (const each of samples) expect(await fetched(cache, each)).toEqual(each.file);
});
