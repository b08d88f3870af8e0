import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { changes, FaultyFiles } from './support/faulty-files.ts';
import { sample, store, storeDir } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

it('keeps a text from one start to the next, and at no moment half of it', async () => {
  const dir = await temporaryDirectory();
  const files = new FaultyFiles();
  const cache = await DiskCache.open({ dir, storeDir, maxSize: 0, maxAge: 0, minFree: 0 }, { files });
  const state = cache.state('totals.json');
  expect(await state.load()).toBeUndefined();
  expect(await state.save('one')).toBe(true);

  // Each change of the disk on the way fails in turn, until none does.
  for (let allowed = 0; ; allowed += 1) {
    let left = allowed;
    files.verdict = (call) => (changes(call) && left-- <= 0 ? 'ENOSPC' : undefined);
    const saved = await state.save('two, which is longer');
    files.verdict = () => undefined;
    expect(['one', 'two, which is longer']).toContain(await state.load());
    if (saved) break;
    expect(allowed).toBeLessThan(20);
  }
  expect((await stat(join(dir, 'state'))).mode & 0o777).toBe(0o700);
  await cache.close();
  const next = await openCache({ dir });
  expect(await next.state('totals.json').load()).toBe('two, which is longer');
});

it('does not matter to what the cache is for', async () => {
  const dir = await temporaryDirectory();
  // A file is where the directory should be.
  await writeFile(join(dir, 'state'), '');
  const cache = await openCache({ dir });
  expect(await cache.state('totals.json').save('lost')).toBe(false);
  expect(cache.stats().disk.condition).toBe('ok');
  expect(await store(cache, sample())).toBeTruthy();
});

it('passes over what is too large to be its own', async () => {
  const dir = await temporaryDirectory();
  await mkdir(join(dir, 'state'));
  await writeFile(join(dir, 'state/totals.json'), Buffer.alloc(2 * 1024 * 1024));
  const state = (await openCache({ dir })).state('totals.json');
  expect(await state.load()).toBeUndefined();
  expect(await state.save('small')).toBe(true);
  expect(await readFile(join(dir, 'state/totals.json'), 'utf8')).toBe('small');
});
