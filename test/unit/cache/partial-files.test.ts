import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { link, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { DiskCache } from '../../../agent/cache/disk-cache.ts';
import type { PartialNar } from '../../../agent/cache/nar-cache.ts';
import { FakeTime } from './support/fake-time.ts';
import { FaultyFiles } from './support/faulty-files.ts';
import { collected, fetched, type Sample, sample, sha256, store } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

const big = () => sample({ contents: Buffer.alloc(400_000, randomUUID()) });

async function mustOpen(cache: DiskCache, { narHash }: Sample): Promise<PartialNar> {
  const partial = await cache.partial(narHash);
  if (partial === undefined) throw new Error('no partial file');
  return partial;
}

async function interrupt(cache: DiskCache, one: Sample, bytes: number): Promise<void> {
  const partial = await mustOpen(cache, one);
  await partial.begin(one.meta);
  await partial.append(one.file.subarray(0, bytes));
  await partial.release();
}

test('an interrupted transfer goes on where it stopped, also after a restart', async () => {
  const dir = await temporaryDirectory();
  const one = big();
  const before = await openCache({ dir });
  await interrupt(before, one, 300_001);
  expect(before.stats().partial).toEqual({ files: 1, bytes: 74 * 4096 + 4096 });
  await before.close();

  const cache = await openCache({ dir });
  const partial = await mustOpen(cache, one);
  expect(partial.meta).toEqual(one.meta);
  expect(partial.length).toBe(300_001);
  expect(await collected(partial.read(0))).toEqual(one.file.subarray(0, 300_001));
  expect(await partial.append(one.file.subarray(300_001))).toBe(true);
  expect(await partial.commit(one.narinfo, { hash: one.fileHash, size: one.file.length })).toBe(true);
  await partial.release();
  expect(await fetched(cache, one)).toEqual(one.file);
  expect(await readdir(join(dir, 'partial'))).toEqual([]);
});

test('a partial file has one owner at a time', async () => {
  const cache = await openCache({ dir: await temporaryDirectory() });
  const one = big();
  const partial = await mustOpen(cache, one);
  expect(partial.meta).toBeUndefined();
  expect(await cache.partial(one.narHash)).toBeUndefined();
  await partial.release();
  await (await mustOpen(cache, one)).discard();
  await store(cache, one);
  await (await mustOpen(cache, one)).release();
});

test('appended bytes keep the order of the calls and can be read while more come', async () => {
  const cache = await openCache({ dir: await temporaryDirectory() });
  const one = big();
  const partial = await mustOpen(cache, one);
  await partial.begin(one.meta);
  await partial.append(one.file.subarray(0, 1000));
  const reader = partial.read(0)[Symbol.asyncIterator]();
  expect((await reader.next()).value).toHaveLength(1000);
  const chunks = Array.from({ length: 399 }, (_, n) => one.file.subarray((n + 1) * 1000, (n + 2) * 1000));
  const appended = chunks.map((chunk) => partial.append(chunk));
  await Promise.all(appended);
  expect((await reader.next()).value).toEqual(one.file.subarray(1000, 1000 + 262_144));
  expect(await collected(partial.read(399_000))).toEqual(one.file.subarray(399_000, 400_000));
  await partial.discard();
  await expect(reader.next()).rejects.toMatchObject({ code: 'cache-read' });
});

test('begin discards what was there, and release or discard end it for good', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const one = big();
  await interrupt(cache, one, 1000);
  const partial = await mustOpen(cache, one);
  const { fileHash: _, ...otherMeta } = { ...one.meta, sourceId: 'http://other', compression: 'xz' as const };
  expect(await partial.begin(otherMeta)).toBe(true);
  expect(partial.length).toBe(0);
  await partial.append(Buffer.from('other'));
  expect(partial.meta).toEqual(otherMeta);
  expect(await collected(partial.read(0))).toEqual(Buffer.from('other'));
  expect(await readdir(join(dir, 'partial'))).toHaveLength(2);
  await partial.discard();
  await partial.release();
  expect(await partial.append(Buffer.from('more'))).toBe(false);
  expect(await partial.begin(one.meta)).toBe(false);
  expect(await readdir(join(dir, 'partial'))).toEqual([]);
  expect(cache.stats().partial).toEqual({ files: 0, bytes: 0 });
});

test('bytes can be read on after commit, until the owner lets go', async () => {
  const cache = await openCache({ dir: await temporaryDirectory() });
  const one = big();
  const partial = await mustOpen(cache, one);
  await partial.begin(one.meta);
  await partial.append(one.file);
  const slow = partial.read(0)[Symbol.asyncIterator]();
  await slow.next();
  await partial.commit(one.narinfo, { hash: one.fileHash, size: one.file.length });
  expect((await slow.next()).value).toEqual(one.file.subarray(262_144));
  expect(await collected(partial.read(7))).toEqual(one.file.subarray(7));
  await partial.release();
  await expect(collected(partial.read(0))).rejects.toMatchObject({ code: 'cache-read' });
  expect(await fetched(cache, one)).toEqual(one.file);
});

test('nothing is committed that is not of the size that was verified', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const one = big();
  const partial = await mustOpen(cache, one);
  await partial.begin(one.meta);
  await partial.append(one.file.subarray(1));
  expect(await partial.commit(one.narinfo, { hash: sha256(one.file), size: one.file.length })).toBe(false);
  await partial.release();
  expect(await readdir(join(dir, 'nar'))).toEqual([]);
});

test('what a start finds in partial/ and cannot use is removed', async () => {
  const dir = await temporaryDirectory();
  const [whole, torn, dataless] = [big(), big(), big()];
  const before = await openCache({ dir });
  for (const each of [whole, torn, dataless]) await interrupt(before, each, 1000);
  await before.close();
  const partials = join(dir, 'partial');
  const sideOfTorn = join(partials, `${torn.narHash}.json`);
  await writeFile(sideOfTorn, (await readFile(sideOfTorn, 'utf8')).slice(0, -9));
  const sideOfDataless = join(partials, `${dataless.narHash}.json`);
  const [dataOfWhole] = (await readdir(partials)).filter(
    (name) => /\.[0-9a-f]{8}$/.test(name) && name.startsWith(whole.narHash),
  );
  const othersData = (await readFile(sideOfDataless, 'utf8')).replace(
    /"data":"[^"]*"/,
    `"data":"${dataOfWhole}"`,
  );
  await writeFile(sideOfDataless, othersData);
  await writeFile(join(partials, '0123.tmp'), 'left by a killed process');

  const cache = await openCache({ dir });
  await cache.settled();
  expect((await readdir(partials)).sort()).toEqual([
    expect.stringMatching(`^${whole.narHash}\\.[0-9a-f]{8}$`),
    `${whole.narHash}.json`,
  ]);
  expect(cache.stats().partial).toEqual({ files: 1, bytes: 8192 });
});

test('idle partial files go after 7 days, and when they take more than half of the cache the oldest go', async () => {
  const dir = await temporaryDirectory();
  const time = new FakeTime();
  const cache = await openCache({ dir, maxSize: 2_000_000 }, { clock: time, wall: time.wall });
  await cache.settled();
  const all = Array.from({ length: 4 }, big);
  for (const one of all) {
    time.pass(1000);
    await interrupt(cache, one, 300_000);
  }
  time.pass(10 * 60_000);
  await cache.settled();
  const lengths = await Promise.all(all.map(async (one) => lengthOf(cache, one)));
  expect(lengths).toEqual([0, 300_000, 300_000, 300_000]);

  time.pass(7 * 86_400_000);
  await cache.settled();
  time.pass(10 * 60_000);
  await cache.settled();
  expect(cache.stats().partial).toEqual({ files: 0, bytes: 0 });
});

test('a partial file in use outlives every limit', async () => {
  const dir = await temporaryDirectory();
  const time = new FakeTime();
  const cache = await openCache({ dir, maxSize: 1_000_000 }, { clock: time, wall: time.wall });
  const one = big();
  const partial = await mustOpen(cache, one);
  await partial.begin(one.meta);
  await partial.append(one.file.subarray(0, 1000));
  time.pass(30 * 86_400_000);
  await cache.settled();
  expect(await partial.append(one.file.subarray(1000))).toBe(true);
  expect(await partial.commit(one.narinfo, { hash: one.fileHash, size: one.file.length })).toBe(true);
  await partial.release();
});

test('an old partial file does not survive a restart', async () => {
  const dir = await temporaryDirectory();
  const before = await openCache({ dir });
  const one = big();
  await interrupt(before, one, 1000);
  await before.close();
  const partials = join(dir, 'partial');
  const lastWeek = Date.now() / 1000 - 8 * 86_400;
  for (const name of await readdir(partials)) await utimes(join(partials, name), lastWeek, lastWeek);
  const cache = await openCache({ dir });
  await cache.settled();
  expect(await readdir(partials)).toEqual([]);
});

async function lengthOf(cache: DiskCache, one: Sample): Promise<number> {
  const partial = await mustOpen(cache, one);
  const { length } = partial;
  await partial.release();
  return length;
}

test('a process that is killed when the NAR is in the cache and its narinfo is not has lost nothing', async () => {
  const dir = await temporaryDirectory();
  const after = await temporaryDirectory();
  const one = big();
  const files = new FaultyFiles();
  const first = await openCache({ dir }, { files });
  // The directory as a kill at that instant would leave it.
  files.pause = ({ name, path }) => {
    if (name === 'rename' && path.endsWith('.tmp')) execFileSync('cp', ['-a', `${dir}/.`, after]);
    return undefined;
  };
  await store(first, one);
  expect(await readdir(join(after, 'nar'))).toHaveLength(1);

  const cache = await openCache({ dir: after });
  const partial = await mustOpen(cache, one);
  expect([partial.meta, partial.length]).toEqual([one.meta, one.file.length]);
  expect(await partial.commit(one.narinfo, { hash: one.fileHash, size: one.file.length })).toBe(true);
  await partial.release();
  expect(await fetched(cache, one)).toEqual(one.file);
  expect(await readdir(join(after, 'partial'))).toEqual([]);
});

test('what a process that was killed a moment later leaves takes no space twice', async () => {
  const dir = await temporaryDirectory();
  const after = await temporaryDirectory();
  const one = big();
  const files = new FaultyFiles();
  const first = await openCache({ dir }, { files });
  let copied = false;
  files.pause = ({ name, path }) => {
    if (name === 'remove' && path.includes('/partial/') && !copied) {
      copied = true;
      execFileSync('cp', ['-a', `${dir}/.`, after]);
    }
    return undefined;
  };
  await store(first, one);
  expect(await readdir(join(after, 'partial'))).toHaveLength(2);

  const cache = await openCache({ dir: after });
  await cache.settled();
  expect(await readdir(join(after, 'partial'))).toEqual([]);
  expect(cache.stats()).toMatchObject({ nars: 1, partial: { files: 0, bytes: 0 } });
  expect(await fetched(cache, one)).toEqual(one.file);
});

test('what is in the cache already is not added to', async () => {
  const dir = await temporaryDirectory();
  const one = big();
  const first = await openCache({ dir });
  await interrupt(first, one, one.file.length);
  await first.close();
  const [data = ''] = (await readdir(join(dir, 'partial'))).filter((name) => !name.endsWith('.json'));
  await link(join(dir, 'partial', data), join(dir, 'nar', 'half-committed'));

  const partial = await mustOpen(await openCache({ dir }), one);
  expect(await partial.append(Buffer.from('more'))).toBe(false);
  await partial.release();
  expect(await readFile(join(dir, 'nar', 'half-committed'))).toEqual(one.file);
});
