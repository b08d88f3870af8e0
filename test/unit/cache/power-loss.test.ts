import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sameHash } from '../../../agent/nix/hash.ts';
import { parseNarinfo } from '../../../agent/nix/narinfo.ts';
import { FakeTime } from './support/fake-time.ts';
import { afterPowerLoss, narinfosOf, RecordingFiles, restore, type Survivors } from './support/power-loss.ts';
import { fetched, sample, sha256, store, storeDir, twinOf } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

/** Narinfos that a reader of the surviving directory would find without their whole NAR. */
function brokenNarinfos(survivors: Survivors, dir: string): string[] {
  return narinfosOf(survivors, dir)
    .filter(([, text]) => {
      const { url, fileHash } = parseNarinfo(text, storeDir);
      const nar = survivors.get(join(dir, url));
      return nar === undefined || fileHash === undefined || !sameHash(sha256(nar), fileHash);
    })
    .map(([path]) => path);
}

/** How much of what was not synced the disk has done all the same: nothing, all, or something in between for each directory. */
function* fates(random: () => number) {
  yield () => 0;
  yield () => 1;
  for (let n = 0; n < 3; n += 1) yield random;
}

test('the power fails at any moment: every narinfo has its whole NAR, and what was committed is there', async () => {
  const dir = await temporaryDirectory();
  const files = new RecordingFiles();
  const time = new FakeTime();
  const maxSize = 20 * 8192;
  const cache = await openCache({ dir, maxSize }, { files, clock: time, wall: time.wall });
  await cache.settled();

  const committed: { readonly after: number; readonly hashPart: string }[] = [];
  const commit = async (one: ReturnType<typeof sample>) => {
    if (await store(cache, one)) {
      committed.push({ after: files.operations.length, hashPart: one.narinfo.storePath.hashPart });
    }
  };
  const first = sample();
  await commit(first);
  await cache.adopt(twinOf(first).narinfo);
  const replaced = sample();
  await commit(replaced);
  await commit({ ...sample({ compression: 'zstd' }), narinfo: replaced.narinfo });
  await Promise.all(Array.from({ length: 8 }, () => commit(sample())));
  const wrong = sample();
  await commit(wrong);
  const keptUntil = files.operations.length;
  const stored = await cache.narinfo(wrong.narinfo.storePath.hashPart);
  if (stored) await cache.quarantine(stored, 'found wrong by the test');
  for (let n = 0; n < 20; n += 1) {
    time.pass(1000);
    await commit(sample());
  }
  expect(cache.stats().evicted.nars).toBeGreaterThan(5);

  const { operations } = files;
  const random = seededRandom(20_260_101);
  for (let length = 0; length <= operations.length; length += 1) {
    for (const fate of fates(random)) {
      const survivors = afterPowerLoss(operations.slice(0, length), fate);
      expect(brokenNarinfos(survivors, dir), `after ${length} operations`).toEqual([]);
      if (length > keptUntil) continue;
      for (const { after, hashPart } of committed) {
        if (after <= length) expect(survivors.has(join(dir, `${hashPart}.narinfo`))).toBe(true);
      }
    }
  }
  expect(operations.length).toBeGreaterThan(400);
});

test('after a power loss the cache opens, serves what survived, and stores the rest again', async () => {
  const dir = await temporaryDirectory();
  const files = new RecordingFiles();
  const cache = await openCache({ dir }, { files });
  const samples = Array.from({ length: 5 }, () => sample());
  for (const one of samples) await store(cache, one);
  const random = seededRandom(20_260_102);
  for (let length = 0; length <= files.operations.length; length += 7) {
    const copy = await temporaryDirectory();
    await restore(afterPowerLoss(files.operations.slice(0, length), random), dir, copy);
    const again = await openCache({ dir: copy });
    await again.settled();
    for (const one of samples) {
      const served = await fetched(again, one);
      if (served === undefined) expect(await store(again, one)).toBe(true);
      expect(await fetched(again, one)).toEqual(one.file);
    }
    await again.close();
  }
});

/** mulberry32: the same numbers on each run. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
