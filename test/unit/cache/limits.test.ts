import { mkdir, readdir, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { Pins } from '../../../agent/cache/pins.ts';
import { FakeTime } from './support/fake-time.ts';
import { FaultyFiles } from './support/faulty-files.ts';
import { fetched, pathsOf, type Sample, sample, store, storeDir, twinOf } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

const day = 86_400_000;

/** One block for the NAR, one for the narinfo. */
const entry = 8192;

async function has(cache: DiskCache, one: Sample): Promise<boolean> {
  return (await cache.narinfo(one.narinfo.storePath.hashPart)) !== undefined;
}

/** A cache on a clock of its own, which has read its directory. */
async function timedCache(limits: { maxSize?: number; maxAge?: number; minFree?: number; dir?: string }) {
  const time = new FakeTime();
  const dir = limits.dir ?? (await temporaryDirectory());
  const files = new FaultyFiles();
  const cache = await openCache({ ...limits, dir }, { clock: time, wall: time.wall, files });
  await cache.settled();
  const pass = async (ms: number) => {
    time.pass(ms);
    await cache.settled();
  };
  return { cache, dir, time, files, pass };
}

test('beyond its size the cache loses what was not used for longest, NAR and narinfo', async () => {
  const { cache, dir, pass } = await timedCache({ maxSize: 10 * entry });
  const all = Array.from({ length: 20 }, () => sample());
  for (const one of all) {
    await pass(1000);
    expect(await store(cache, one)).toBe(true);
    await has(cache, all[0] ?? one);
  }
  expect(cache.stats().bytes).toBeLessThanOrEqual(10 * entry);
  expect(cache.stats().evicted).toMatchObject({
    nars: 20 - cache.stats().nars,
    bytes: (20 - cache.stats().nars) * entry,
  });
  const kept = await Promise.all(all.map((one) => has(cache, one)));
  const expected = all.map((_, n) => n === 0 || n > 20 - cache.stats().nars);
  expect(kept).toEqual(expected);
  expect(await readdir(join(dir, 'nar'))).toHaveLength(cache.stats().nars);
  expect((await readdir(dir)).filter((name) => name.endsWith('.narinfo'))).toHaveLength(cache.stats().nars);
});

test('a NAR that is being read stays until it is closed', async () => {
  const { cache, pass } = await timedCache({ maxSize: 4 * entry });
  const read = sample();
  await store(cache, read);
  const narinfo = await cache.narinfo(read.narinfo.storePath.hashPart);
  const file = narinfo && (await cache.open(narinfo));
  for (let n = 0; n < 10; n += 1) {
    await pass(1000);
    expect(await store(cache, sample())).toBe(true);
  }
  expect(await has(cache, read)).toBe(true);
  await file?.close();
  for (let n = 0; n < 10; n += 1) {
    await pass(1000);
    await store(cache, sample());
  }
  expect(await has(cache, read)).toBe(false);
});

test('a NAR shared by two paths stays while one of them is used, and goes with both narinfos', async () => {
  const { cache, pass } = await timedCache({ maxAge: day });
  const one = sample();
  const twin = twinOf(one);
  await store(cache, one);
  await cache.adopt(twin.narinfo);
  await pass(0.9 * day);
  expect(await has(cache, twin)).toBe(true);
  await pass(0.9 * day);
  expect(await has(cache, one)).toBe(true);
  await pass(1.1 * day);
  await pass(0.01 * day);
  expect(cache.stats()).toMatchObject({ paths: 0, nars: 0, evicted: { nars: 1, narinfos: 2 } });
});

test('last use survives a restart, is written every 10 minutes at most, and leaves mtime alone', async () => {
  const dir = await temporaryDirectory();
  const { cache, time, files, pass } = await timedCache({ dir });
  const [used, unused] = [sample(), sample()];
  for (const one of [used, unused]) await store(cache, one);
  const { nar } = pathsOf(dir, used);
  const modified = (await stat(nar)).mtimeMs;
  let touches = 0;
  files.verdict = ({ name }) => {
    if (name === 'touch') touches += 1;
    return undefined;
  };
  for (let minute = 0; minute < 60; minute += 1) {
    await pass(60_000);
    await fetched(cache, used);
  }
  expect(touches).toBeGreaterThanOrEqual(5);
  expect(touches).toBeLessThanOrEqual(6);
  const { atimeMs, mtimeMs } = await stat(nar);
  expect(time.wall() - atimeMs).toBeLessThan(11 * 60_000);
  expect(Math.abs(mtimeMs - modified)).toBeLessThan(0.01);
  await cache.close();

  const later = Date.now() + 60 * 60_000;
  const again = await openCache({ dir, maxAge: 30 * 60_000 }, { wall: () => later });
  await again.settled();
  expect(await has(again, used)).toBe(true);
  expect(await has(again, unused)).toBe(false);
});

test('after a restart the order of eviction is that of the last uses', async () => {
  const dir = await temporaryDirectory();
  const before = await openCache({ dir });
  const all = Array.from({ length: 10 }, () => sample());
  for (const [n, one] of all.entries()) {
    await store(before, one);
    const used = Date.now() / 1000 - 1000 * ((n * 7) % 10);
    await utimes(pathsOf(dir, one).nar, used, used);
  }
  await before.close();
  const { cache } = await timedCache({ dir, maxSize: 5 * entry });
  const kept = await Promise.all(all.map((one) => has(cache, one)));
  expect(kept).toEqual(all.map((_, n) => (n * 7) % 10 < 5));
});

test('min-free counts the space of the whole file system', async () => {
  const { cache, files, dir } = await timedCache({ minFree: 1_000_000 });
  const all = Array.from({ length: 10 }, () => sample());
  for (const one of all) await store(cache, one);
  await cache.close();

  // As if another program had filled the disk to 20 KiB below the limit.
  const full = await timedCache({ dir });
  await full.cache.close();
  const began = (await readdir(join(dir, 'nar'))).length;
  files.space = async (path) => {
    const gone = began - (await readdir(join(path, 'nar'))).length;
    return { free: 1_000_000 - 20_480 + gone * entry, total: 100_000_000 };
  };
  const cacheOnFullDisk = await DiskCache.open(
    { dir, storeDir, maxSize: 0, maxAge: 0, minFree: 1_000_000 },
    { files },
  );
  onTestFinished(() => cacheOnFullDisk.close());
  await cacheOnFullDisk.settled();
  expect(cacheOnFullDisk.stats().nars).toBe(7);
});

test('pinned closures stay, whether their paths came before or after the pin', async () => {
  const { cache, dir, pass } = await timedCache({ maxAge: day });
  const leaf = sample();
  const lateLeaf = sample();
  const late = sample({ references: [lateLeaf] });
  const root = sample({ references: [leaf, late] });
  const other = sample();
  const pins = new Pins(dir, storeDir);
  for (const one of [leaf, root, other]) await store(cache, one);
  await pins.pin('system', `${storeDir}/${root.narinfo.storePath.base}`);
  await pass(2 * day);
  expect(await Promise.all([leaf, root, other].map((one) => has(cache, one)))).toEqual([true, true, false]);

  for (const one of [lateLeaf, late]) await store(cache, one);
  await pass(2 * day);
  await pass(day);
  for (const one of [leaf, lateLeaf, late, root]) expect(await has(cache, one)).toBe(true);

  expect(await pins.unpin('system')).toBe(true);
  await pass(2 * day);
  await pass(day);
  expect(cache.stats().nars).toBe(0);
});

test('nothing is evicted while the pins cannot be read', async () => {
  const { cache, files, pass } = await timedCache({ maxAge: day });
  const one = sample();
  await store(cache, one);
  files.verdict = ({ name, path }) => (name === 'list' && path.endsWith('pins') ? 'EIO' : undefined);
  await pass(2 * day);
  await pass(day);
  expect(cache.stats().nars).toBe(1);
});

test('when nothing may go, nothing more is stored until there is room', async () => {
  const { cache, dir, pass } = await timedCache({ maxSize: 4 * entry });
  const all = Array.from({ length: 4 }, () => sample());
  const pins = new Pins(dir, storeDir);
  for (const [n, one] of all.entries()) {
    await pins.pin(`pin-${n}`, `${storeDir}/${one.narinfo.storePath.base}`);
    await store(cache, one);
  }
  const late = sample();
  expect(await store(cache, late)).toBe(false);
  expect(cache.stats()).toMatchObject({ disk: { condition: 'full' } });
  for (const one of all) expect(await has(cache, one)).toBe(true);

  for (let n = 0; n < 4; n += 1) await pins.unpin(`pin-${n}`);
  await pass(6000);
  await expect.poll(() => cache.stats().disk.condition).toBe('ok');
  expect(await store(cache, late)).toBe(true);
});

test('a NAR of more than half of the cache is not stored, and pushes nothing out', async () => {
  const { cache } = await timedCache({ maxSize: 10 * entry });
  const small = sample();
  await store(cache, small);
  const huge = sample({ contents: Buffer.alloc(6 * entry, 'huge') });
  expect(await store(cache, huge)).toBe(false);
  const { fileSize: _, ...unknownSize } = huge.meta;
  expect(await store(cache, { ...huge, meta: unknownSize })).toBe(false);
  expect(await has(cache, small)).toBe(true);
  expect(cache.stats()).toMatchObject({ disk: { condition: 'ok' }, partial: { files: 0, bytes: 0 } });
});

test('a NAR that no narinfo names counts, and goes like any other', async () => {
  const dir = await temporaryDirectory();
  await mkdir(join(dir, 'nar', 'directory'), { recursive: true });
  const orphan = join(dir, 'nar', 'orphan.nar.xz');
  await writeFile(orphan, 'x'.repeat(5000));
  const { cache, pass } = await timedCache({ dir, maxAge: day });
  expect(cache.stats()).toMatchObject({ paths: 0, nars: 1, bytes: 8192 });
  await pass(2 * day);
  await pass(day);
  expect(await readdir(join(dir, 'nar'))).toEqual(['directory']);
});

test('what is stored again while it is being evicted is there afterwards', async () => {
  const { cache, dir, files, time } = await timedCache({ maxAge: day });
  const one = sample();
  await store(cache, one);
  const removing = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const synced = Promise.withResolvers<void>();
  files.pause = ({ name, path }) => {
    if (name === 'sync') synced.resolve();
    if (name !== 'remove' || path !== pathsOf(dir, one).narinfo) return undefined;
    removing.resolve();
    return goOn.promise;
  };
  time.pass(2 * day);
  await removing.promise;
  const storing = store(cache, one);
  await synced.promise;
  // Time enough for a commit that does not wait.
  for (let n = 0; n < 200; n += 1) await stat(dir);
  goOn.resolve();
  expect(await storing).toBe(true);
  await cache.settled();
  expect(await fetched(cache, one)).toEqual(one.file);
  expect(cache.stats()).toMatchObject({ paths: 1, nars: 1, evicted: { nars: 1 } });
});

test('what is used while the directory is being read counts as used last', async () => {
  const dir = await temporaryDirectory();
  const before = await openCache({ dir });
  const all = Array.from({ length: 10 }, () => sample());
  for (const [n, one] of all.entries()) {
    await store(before, one);
    const used = Date.now() / 1000 - 10_000 + 100 * n;
    await utimes(pathsOf(dir, one).nar, used, used);
  }
  await before.close();
  const [oldest] = all;
  if (oldest === undefined) throw new Error('nothing stored');
  const goOn = Promise.withResolvers<void>();
  const files = new FaultyFiles();
  // The scan looks at a narinfo without being asked for it, and waits there.
  files.pause = ({ name, path }) =>
    name === 'stat' && path === pathsOf(dir, all[9] ?? oldest).nar ? goOn.promise : undefined;
  const cache = await openCache({ dir, maxSize: 3 * entry }, { files });
  expect(await has(cache, oldest)).toBe(true);
  goOn.resolve();
  await cache.settled();
  expect(await has(cache, oldest)).toBe(true);
  expect(cache.stats().nars).toBe(3);
});

test('quarantine keeps no more than 1 GiB, and nothing for longer than 30 days', async () => {
  const dir = await temporaryDirectory();
  const { pass } = await timedCache({ dir });
  const quarantine = join(dir, 'quarantine');
  for (const name of ['first', 'second']) {
    await writeFile(join(quarantine, name), '');
    await truncate(join(quarantine, name), 600 * 2 ** 20);
  }
  await pass(600_000);
  expect(await readdir(quarantine)).toHaveLength(1);
  await pass(31 * day);
  await pass(600_000);
  expect(await readdir(quarantine)).toEqual([]);
});

test('whatever is stored, used and left alone, the limits hold and what is served is right', async () => {
  const samples = Array.from({ length: 12 }, (_, n) =>
    sample({ contents: Buffer.alloc(1 + n * 900, `${n}`) }),
  );
  const step = fc.record({
    act: fc.constantFrom('store', 'fetch', 'fetch', 'wait'),
    which: fc.nat(samples.length - 1),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 20, maxLength: 40 }),
      fc.integer({ min: 3, max: 12 }),
      async (steps, room) => {
        const dir = await temporaryDirectory();
        const time = new FakeTime();
        const maxSize = room * entry * 2;
        const cache = await DiskCache.open(
          { dir, storeDir, maxSize, maxAge: day, minFree: 0 },
          { clock: time, wall: time.wall },
        );
        try {
          await cache.settled();
          const lastUse = new Map<Sample, number>();
          for (const { act, which } of steps) {
            const one = samples[which];
            if (one === undefined) continue;
            time.pass(1000);
            if (act === 'store' && (await store(cache, one))) lastUse.set(one, time.now());
            if (act === 'wait') time.pass(day / 10);
            await cache.settled();
            if (act === 'fetch') {
              const bytes = await fetched(cache, one);
              if (bytes !== undefined) expect(bytes).toEqual(one.file);
              if (bytes !== undefined) lastUse.set(one, time.now());
            }
            expect(cache.stats().bytes).toBeLessThanOrEqual(maxSize);
          }
          // What is left was used after everything that is gone, unless that was too big for its time.
          const left = new Set<Sample>();
          for (const one of samples)
            if ((await stat(pathsOf(dir, one).narinfo).catch(() => undefined)) !== undefined) left.add(one);
          const oldestLeft = Math.min(...[...left].map((one) => lastUse.get(one) ?? Number.NaN));
          const gone = [...lastUse].filter(([one]) => !left.has(one)).map(([, used]) => used);
          for (const used of gone) expect(used).toBeLessThanOrEqual(oldestLeft);
        } finally {
          await cache.close();
        }
      },
    ),
    { numRuns: 40 },
  );
});
