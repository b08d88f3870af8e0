import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { FaultyFiles } from './support/faulty-files.ts';
import { fetched, pathsOf, sample, store } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

/** A cache with one NAR in it; `reads` counts reads of NAR files. */
async function cacheWithOne() {
  const dir = await temporaryDirectory();
  const files = new FaultyFiles();
  const cache = await openCache({ dir }, { files });
  const one = sample({ compression: 'zstd' });
  await store(cache, one);
  const counted = { reads: 0 };
  files.verdict = ({ name, path }) => {
    if (name === 'read' && path.includes('/nar/')) counted.reads += 1;
    return undefined;
  };
  return { cache, one, counted, ...pathsOf(dir, one) };
}

async function flip(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  await writeFile(file, bytes);
}

test('I3: of a stored file that was damaged nobody gets a byte, and it is set aside', async () => {
  const { cache, one, nar } = await cacheWithOne();
  await flip(nar);
  expect(await fetched(cache, one)).toBe(undefined);
  expect(cache.stats()).toMatchObject({ nars: 0, quarantine: { nars: 1 } });
});

test('so it is by its NAR where the narinfo does not name the file', async () => {
  const { cache, one, nar, narinfo } = await cacheWithOne();
  const text = await readFile(narinfo, 'utf8');
  await writeFile(narinfo, text.replace(/^FileHash: .*\n/m, ''));
  expect(await fetched(cache, one)).toEqual(one.file);
  await flip(nar);
  expect(await fetched(cache, one)).toBe(undefined);
});

test('a file is looked at once, however many open it, until it changes', async () => {
  const { cache, one, counted, nar } = await cacheWithOne();
  await Promise.all(Array.from({ length: 5 }, () => fetched(cache, one)));
  expect(counted.reads).toBe(6);
  await fetched(cache, one);
  expect(counted.reads).toBe(7);
  await flip(nar);
  expect(await fetched(cache, one)).toBe(undefined);
});
