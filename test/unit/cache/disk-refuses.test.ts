import { spawnSync } from 'node:child_process';
import { mkdir, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { DiskState } from '../../../agent/cache/disk-state.ts';
import { silent } from '../../../agent/cache/log.ts';
import { FakeTime } from './support/fake-time.ts';
import { type Call, changes, FaultyFiles } from './support/faulty-files.ts';
import { danglingNarinfos } from './support/invariants.ts';
import { collected, fetched, type Sample, sample, store, twinOf } from './support/sample.ts';
import { fastDirectory, openCache, temporaryDirectory } from './support/temporary.ts';

/** All that writes: a new NAR, one begun anew, one resumed, one adopted, one replaced, one set aside, some evicted. */
async function everyKindOfWrite(cache: DiskCache, samples: readonly Sample[]): Promise<void> {
  const [plain, resumed, replaced, wrong] = samples as [Sample, Sample, Sample, Sample];
  await store(cache, plain);
  await cache.adopt(twinOf(plain).narinfo);
  const partial = await cache.partial(resumed.narHash);
  await partial?.begin(resumed.meta);
  await partial?.append(resumed.file.subarray(0, 500));
  await partial?.begin(resumed.meta);
  await partial?.append(resumed.file.subarray(0, 300));
  await partial?.release();
  const again = await cache.partial(resumed.narHash);
  await again?.append(resumed.file.subarray(again.length));
  await again?.commit(resumed.narinfo, { hash: resumed.fileHash, size: resumed.file.length });
  await again?.release();
  await store(cache, replaced);
  await store(cache, { ...sample({ compression: 'zstd' }), narinfo: replaced.narinfo });
  await store(cache, wrong);
  const stored = await cache.narinfo(wrong.narinfo.storePath.hashPart);
  if (stored !== undefined) await cache.quarantine(stored, 'found wrong by the test');
  const given = await cache.partial(wrong.narHash);
  await given?.begin(wrong.meta);
  await given?.discard();
  await cache.settled();
}

const samples = [sample(), sample(), sample(), sample()];

async function countChanges(): Promise<Call[]> {
  const files = new FaultyFiles();
  const calls: Call[] = [];
  const cache = await openCache({ dir: await temporaryDirectory(fastDirectory) }, { files });
  files.verdict = (call) => {
    if (changes(call)) calls.push(call);
    return undefined;
  };
  await everyKindOfWrite(cache, samples);
  return calls;
}

/** After a while the disk takes writes again, and all of them. */
async function expectRecovered(cache: DiskCache, time: FakeTime): Promise<void> {
  time.pass(6000);
  await expect.poll(() => cache.stats().disk.condition, { interval: 1 }).toBe('ok');
  for (const one of samples) {
    await store(cache, one);
    expect(await fetched(cache, one)).toEqual(one.file);
  }
}

test.for(['ENOSPC', 'EROFS', 'EIO'])(
  '%s at any write: nobody is disturbed, nothing half-written shows, and it is over when it is over',
  async (code) => {
    const calls = await countChanges();
    expect(calls.length).toBeGreaterThan(50);
    for (const nth of calls.keys()) {
      const dir = await temporaryDirectory(fastDirectory);
      const time = new FakeTime();
      const files = new FaultyFiles();
      const cache = await openCache({ dir }, { files, clock: time, wall: time.wall });
      let count = 0;
      // From the nth change on all fail, as on a full or dying disk.
      files.verdict = (call) => (changes(call) && count++ >= nth ? code : undefined);
      await everyKindOfWrite(cache, samples);
      // A file that is of no use any more and cannot be removed concerns nobody before the next start.
      if (calls[nth]?.name !== 'remove') expect(cache.stats().disk.condition, `call ${nth}`).not.toBe('ok');
      expect(await danglingNarinfos(dir)).toEqual([]);
      for (const one of samples) {
        const bytes = await fetched(cache, one);
        if (bytes !== undefined && one !== samples[2]) expect(bytes).toEqual(one.file);
      }

      files.verdict = () => undefined;
      await expectRecovered(cache, time);
      await cache.close();
      await rm(dir, { recursive: true });
    }
  },
);

test.for(['ENOSPC', 'EIO'])('%s at any one write: the cache goes on with the next', async (code) => {
  const calls = await countChanges();
  for (const nth of calls.keys()) {
    const dir = await temporaryDirectory(fastDirectory);
    const time = new FakeTime();
    const files = new FaultyFiles();
    const cache = await openCache({ dir }, { files, clock: time, wall: time.wall });
    let count = 0;
    files.verdict = (call) => (changes(call) && count++ === nth ? code : undefined);
    await everyKindOfWrite(cache, samples);
    await expectRecovered(cache, time);
    expect(await danglingNarinfos(dir)).toEqual([]);
    expect((await readdir(join(dir, 'partial'))).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await cache.close();
    await rm(dir, { recursive: true });
  }
});

test('a NAR that is wrong is not served, even when the disk does not let it be moved', async () => {
  const files = new FaultyFiles();
  const cache = await openCache({ dir: await temporaryDirectory() }, { files });
  const one = sample();
  await store(cache, one);
  const narinfo = await cache.narinfo(one.narinfo.storePath.hashPart);
  if (narinfo === undefined) throw new Error('not stored');
  files.verdict = (call) => (changes(call) ? 'EROFS' : undefined);
  await cache.quarantine(narinfo, 'a bit flipped');
  expect(await cache.narinfo(one.narinfo.storePath.hashPart)).toBeUndefined();
  expect(await cache.open(narinfo)).toBeUndefined();
});

test('a disk that keeps refusing is tried ever more rarely, but at least once a minute', async () => {
  const time = new FakeTime();
  const tries: number[] = [];
  const probe = async () => {
    tries.push(time.now());
    throw new Error('still no');
  };
  const disk = new DiskState(time, probe, silent);
  disk.refused(new Error('no'));
  disk.refused(new Error('no'));
  for (let second = 0; second < 300; second += 1) {
    time.pass(1000);
    await new Promise(setImmediate);
  }
  expect(tries.map((ms) => ms / 1000)).toEqual([5, 15, 35, 75, 135, 195, 255]);
  await disk.close();
  time.pass(60_000);
  expect(tries).toHaveLength(7);
});

test('EIO at any read: it counts, and reads as absent or ends with an error', async () => {
  const dir = await temporaryDirectory();
  const files = new FaultyFiles();
  const cache = await openCache({ dir }, { files });
  const one = sample();
  await store(cache, one);
  const failures: string[] = [];
  for (let nth = 0; ; nth += 1) {
    let count = 0;
    let failed: string | undefined;
    files.verdict = (call) => {
      if (changes(call) || count++ !== nth) return undefined;
      failed = call.name;
      return 'EIO';
    };
    const read = await fetched(cache, one).catch((error: unknown) => error);
    if (failed === undefined) break;
    failures.push(failed);
    if (read !== undefined) expect(read).toMatchObject({ code: 'cache-read' });
    expect(cache.stats().failedReads).toBe(failures.length);
  }
  files.verdict = () => undefined;
  expect(failures).toEqual(['open-read', 'read', 'stat', 'open-read', 'facts', 'read', 'read']);
  expect(await fetched(cache, one)).toEqual(one.file);
  expect(cache.stats().disk.condition).toBe('ok');
});

test('a directory that refuses from the start is served from, and stored to once it takes writes', async () => {
  const dir = await temporaryDirectory();
  const before = await openCache({ dir });
  const [old, late] = [sample(), sample()];
  await store(before, old);
  await before.close();

  const time = new FakeTime();
  const files = new FaultyFiles();
  files.verdict = (call) => (changes(call) ? 'EROFS' : undefined);
  const cache = await openCache({ dir }, { files, clock: time, wall: time.wall });
  expect(await fetched(cache, old)).toEqual(old.file);
  expect(await store(cache, late)).toBe(false);
  expect(cache.stats().disk).toMatchObject({
    condition: 'read-only',
    message: expect.stringContaining('EROFS'),
  });
  files.verdict = () => undefined;
  time.pass(6000);
  await expect.poll(() => cache.stats().disk.condition).toBe('ok');
  expect(await store(cache, late)).toBe(true);
});

/** A small file system of its own; undefined, with the reason printed, where none can be mounted. */
async function tmpfs(size: string): Promise<string | undefined> {
  const dir = join(await temporaryDirectory(), 'mount');
  await mkdir(dir);
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir], { encoding: 'utf8' });
  if (mount.status !== 0) {
    process.stdout.write(`skipped: no tmpfs can be mounted here: ${mount.error?.message ?? mount.stderr}\n`);
    return undefined;
  }
  onTestFinished(() => {
    spawnSync('umount', [dir]);
  });
  return dir;
}

test('a full disk, for real: what is read is read on, room is made, and storing goes on', async ({
  skip,
}) => {
  const dir = await tmpfs('2m');
  if (dir === undefined) return skip();
  const time = new FakeTime();
  const cache = await openCache({ dir: join(dir, 'cache') }, { clock: time, wall: time.wall });
  const first = sample();
  await store(cache, first);
  const narinfo = await cache.narinfo(first.narinfo.storePath.hashPart);
  const file = narinfo && (await cache.open(narinfo));
  const somebodyElses = join(dir, 'something-else');
  await writeFile(somebodyElses, Buffer.alloc(1_950_000));
  expect(await store(cache, sample({ contents: Buffer.alloc(300_000, 'more than there is') }))).toBe(false);
  expect(cache.stats().disk.condition).toBe('full');
  expect(file && (await collected(file.read(0)))).toEqual(first.file);
  await file?.close();
  await rm(somebodyElses);

  const many = Array.from({ length: 40 }, (_, n) => sample({ contents: Buffer.alloc(200_000, `${n}`) }));
  for (const one of many) {
    time.pass(60_000);
    await expect.poll(() => cache.stats().disk.condition, { interval: 1 }).toBe('ok');
    expect(await store(cache, one)).toBe(true);
    expect(await fetched(cache, one)).toEqual(one.file);
  }
  expect(cache.stats().evicted.nars).toBeGreaterThan(30);
  expect(await danglingNarinfos(join(dir, 'cache'))).toEqual([]);
});

test('a read-only disk, for real: it is served from, and stored to once it is writable', async ({ skip }) => {
  const dir = await tmpfs('2m');
  if (dir === undefined) return skip();
  const [old, late] = [sample(), sample()];
  const before = await openCache({ dir });
  await store(before, old);
  await before.close();

  spawnSync('mount', ['-o', 'remount,ro', dir]);
  const time = new FakeTime();
  const cache = await openCache({ dir }, { clock: time, wall: time.wall });
  expect(cache.stats().disk.condition).toBe('read-only');
  expect(await fetched(cache, old)).toEqual(old.file);
  expect(await store(cache, late)).toBe(false);
  spawnSync('mount', ['-o', 'remount,rw', dir]);
  time.pass(6000);
  await expect.poll(() => cache.stats().disk.condition).toBe('ok');
  expect(await store(cache, late)).toBe(true);
});

test('of two that find a disk read-only, one gets it when it is writable', async ({ skip }) => {
  const dir = await tmpfs('2m');
  if (dir === undefined) return skip();
  await (await openCache({ dir })).close();
  spawnSync('mount', ['-o', 'remount,ro', dir]);
  const time = new FakeTime();
  const both = [await openCache({ dir }, { clock: time }), await openCache({ dir }, { clock: time })];
  spawnSync('mount', ['-o', 'remount,rw', dir]);
  time.pass(6000);
  const conditions = () => both.map((cache) => cache.stats().disk.condition).sort();
  await expect.poll(conditions).toEqual(['locked', 'ok']);
});

test('room is made on a disk that is full from the start', async ({ skip }) => {
  const dir = await tmpfs('2m');
  if (dir === undefined) return skip();
  const before = await openCache({ dir: join(dir, 'cache') });
  for (const digit of '12345') await store(before, sample({ contents: Buffer.alloc(200_000, digit) }));
  await before.close();
  spawnSync('dd', ['if=/dev/zero', `of=${join(dir, 'something-else')}`, 'bs=4096']);
  expect((await statfs(dir)).bavail).toBe(0);

  const time = new FakeTime();
  const cache = await openCache({ dir: join(dir, 'cache') }, { clock: time, wall: time.wall });
  expect(cache.stats().disk.condition).toBe('full');
  await cache.settled();
  time.pass(6000);
  await expect.poll(() => cache.stats().disk.condition).toBe('ok');
  expect(await store(cache, sample())).toBe(true);
});

test('a directory that is removed under the agent is made anew', async () => {
  const dir = await temporaryDirectory();
  const time = new FakeTime();
  const cache = await openCache({ dir }, { clock: time, wall: time.wall });
  const one = sample();
  await store(cache, one);
  for (const name of await readdir(dir)) if (name !== 'lock') await rm(join(dir, name), { recursive: true });
  expect(await fetched(cache, one)).toBeUndefined();
  expect(await store(cache, one)).toBe(false);
  time.pass(6000);
  await expect.poll(() => cache.stats().disk.condition).toBe('ok');
  expect(await store(cache, one)).toBe(true);
});
