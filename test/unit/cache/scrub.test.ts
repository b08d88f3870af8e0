import { readFileSync, writeFileSync } from 'node:fs';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ScrubOptions, type ScrubProgress, scrub } from '../../../agent/cache/scrub.ts';
import { printNarinfo } from '../../../agent/nix/narinfo.ts';
import { generateKeyPair, parseSecretKey, sign } from '../../../agent/nix/secret-key.ts';
import { fingerprint, parsePublicKey } from '../../../agent/nix/signature.ts';
import { FaultyFiles } from './support/faulty-files.ts';
import { danglingNarinfos } from './support/invariants.ts';
import {
  fetched,
  pathsOf,
  type Sample,
  type SampleOptions,
  sample,
  store,
  storeDir,
  twinOf,
} from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

const pair = generateKeyPair('test-1');
const secret = parseSecretKey(pair.secret);
const key = parsePublicKey(pair.public);
const keys = new Map([[key.name, key]]);

function signed(one: Sample): Sample {
  const signature = sign(secret, fingerprint(one.narinfo, storeDir));
  return { ...one, narinfo: { ...one.narinfo, signatures: [signature] } };
}

const signedSample = (options?: SampleOptions) => signed(sample(options));

/** In two hours, when nothing counts as on its way in any more. */
const later = () => Date.now() + 2 * 60 * 60_000;

function scrubbed(dir: string, options: Partial<ScrubOptions> = {}) {
  return scrub({ dir, storeDir, keys, repair: false, wall: later, ...options });
}

async function flipBit(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  await writeFile(path, bytes);
}

test('what was stored is found right, in every compression, and progress is told', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const samples = (['none', 'gzip', 'zstd'] as const).map((compression) => signedSample({ compression }));
  for (const one of samples) await store(cache, one);
  await cache.adopt(signed(twinOf(signedSample())).narinfo);
  const seen: ScrubProgress[] = [];
  const bytes = samples.reduce((sum, { file }) => sum + file.length, 0);
  expect(await scrubbed(dir, { progress: (progress) => seen.push(progress) })).toEqual({
    checked: 3,
    total: 3,
    bytes,
    wrong: [],
    withoutNar: [],
    withoutNarinfo: [],
    unreadable: [],
    untrusted: [],
    undecodable: [],
  });
  expect(seen.map(({ checked }) => checked)).toEqual([1, 2, 3]);
  expect(seen.at(-1)).toEqual({ checked: 3, total: 3, bytes });
});

test('every bit that flips in a NAR is found, and repair sets it aside with all its narinfos', async () => {
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const dir = await temporaryDirectory();
    const cache = await openCache({ dir });
    const [good, bad] = [signedSample({ compression }), signedSample({ compression })];
    const twin = signed(twinOf(bad));
    for (const one of [good, bad]) await store(cache, one);
    await cache.adopt(twin.narinfo);
    for (let at = 0; at < bad.file.length; at += Math.ceil(bad.file.length / 20)) {
      await flipBit(pathsOf(dir, bad).nar, at);
      expect((await scrubbed(dir)).wrong).toHaveLength(2);
      await flipBit(pathsOf(dir, bad).nar, at);
    }
    await flipBit(pathsOf(dir, bad).nar, 500);
    await scrubbed(dir, { repair: true });
    expect((await readdir(join(dir, 'quarantine'))).length).toBe(3);
    expect(await fetched(cache, good)).toEqual(good.file);
    expect(await fetched(cache, twin)).toBeUndefined();
    expect(await scrubbed(dir)).toMatchObject({ checked: 1, wrong: [], withoutNar: [], withoutNarinfo: [] });
  }
});

test('a NAR that is cut short or has bytes after its end is found', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const [short, long] = [signedSample({ compression: 'zstd' }), signedSample({ compression: 'none' })];
  for (const one of [short, long]) await store(cache, one);
  await writeFile(pathsOf(dir, short).nar, short.file.subarray(0, -1));
  await writeFile(pathsOf(dir, long).nar, Buffer.concat([long.file, Buffer.from('x')]));
  expect((await scrubbed(dir)).wrong).toHaveLength(2);
});

test('a narinfo that is no narinfo, about another path, or falsely signed is found and set aside', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const [html, moved, altered, good] = [signedSample(), signedSample(), signedSample(), signedSample()];
  for (const one of [html, moved, altered, good]) await store(cache, one);
  await writeFile(pathsOf(dir, html).narinfo, '<html>');
  await copyFile(pathsOf(dir, good).narinfo, pathsOf(dir, moved).narinfo);
  const narinfo = await cache.narinfo(altered.narinfo.storePath.hashPart);
  if (narinfo === undefined) throw new Error('not stored');
  const more = { ...narinfo, references: [good.narinfo.storePath] };
  await writeFile(pathsOf(dir, altered).narinfo, printNarinfo(more, storeDir));

  const report = await scrubbed(dir, { repair: true });
  expect(report.wrong.map(({ file }) => file).sort()).toEqual(
    [html, moved, altered].map(({ narinfo }) => `${narinfo.storePath.hashPart}.narinfo`).sort(),
  );
  expect(await danglingNarinfos(dir)).toEqual([]);
  expect(await fetched(cache, good)).toEqual(good.file);
  expect(await scrubbed(dir)).toMatchObject({ checked: 1, wrong: [] });
});

test('halves without their other half are told, and removed by repair unless they are new', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const [withoutNar, withoutNarinfo, whole] = [signedSample(), signedSample(), signedSample()];
  for (const one of [withoutNar, withoutNarinfo, whole]) await store(cache, one);
  await rm(pathsOf(dir, withoutNar).nar);
  await rm(pathsOf(dir, withoutNarinfo).narinfo);

  expect(await scrubbed(dir, { repair: true, wall: Date.now })).toMatchObject({
    withoutNar: [],
    withoutNarinfo: [],
  });
  const found = {
    withoutNar: [`${withoutNar.narinfo.storePath.hashPart}.narinfo`],
    withoutNarinfo: [pathsOf(dir, withoutNarinfo).nar.slice(dir.length + 1)],
    wrong: [],
  };
  expect(await scrubbed(dir)).toMatchObject(found);
  expect(await scrubbed(dir, { repair: true })).toMatchObject(found);
  expect(await scrubbed(dir)).toMatchObject({ checked: 1, withoutNar: [], withoutNarinfo: [] });
  expect(await readdir(join(dir, 'nar'))).toHaveLength(1);
});

test('a NAR whose narinfo comes while the scrub runs is not nobody’s', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const [checked, late] = [signedSample(), signedSample()];
  for (const one of [checked, late]) await store(cache, one);
  const { narinfo } = pathsOf(dir, late);
  const text = readFileSync(narinfo);
  await rm(narinfo);
  await scrubbed(dir, { repair: true, progress: () => writeFileSync(narinfo, text) });
  expect(await fetched(cache, late)).toEqual(late.file);
});

test('a wrong NAR that two paths come to share while the scrub runs is set aside with both', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const one = signedSample();
  const late = signed(twinOf(one));
  await store(cache, one);
  const { nar } = pathsOf(dir, one);
  await cache.adopt(late.narinfo);
  const { narinfo } = pathsOf(dir, late);
  const text = readFileSync(narinfo);
  await rm(narinfo);
  await flipBit(nar, 100);
  await scrubbed(dir, { repair: true, progress: () => writeFileSync(narinfo, text) });
  expect((await readdir(dir)).filter((name) => name.endsWith('.narinfo'))).toEqual([]);
});

test('what has no signature by a known key is told and left alone', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const unsigned = sample();
  await store(cache, unsigned);
  const name = `${unsigned.narinfo.storePath.hashPart}.narinfo`;
  expect(await scrubbed(dir, { repair: true })).toMatchObject({ untrusted: [name], wrong: [] });
  expect(await fetched(cache, unsigned)).toEqual(unsigned.file);
});

test('what the disk does not read is told, and keeps NARs from being taken for nobody’s', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const [unreadable, stray] = [signedSample(), signedSample()];
  for (const one of [unreadable, stray]) await store(cache, one);
  await rm(pathsOf(dir, stray).narinfo);
  const files = new FaultyFiles();
  files.verdict = ({ name, path }) => (name === 'read' && path.endsWith('.narinfo') ? 'EIO' : undefined);
  const report = await scrubbed(dir, { repair: true, files });
  expect(report.unreadable).toHaveLength(1);
  expect(report.withoutNarinfo).toEqual([]);
  expect(await fetched(cache, unreadable)).toEqual(unreadable.file);
});

test('a compression that cannot be undone is checked by its file', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const one = signedSample();
  await store(cache, { ...one, meta: { ...one.meta, compression: 'bzip2' } });
  const name = `${one.narinfo.storePath.hashPart}.narinfo`;
  expect(await scrubbed(dir)).toMatchObject({ undecodable: [name], wrong: [] });
  const [file = ''] = await readdir(join(dir, 'nar'));
  await flipBit(join(dir, 'nar', file), 9);
  expect((await scrubbed(dir)).wrong).toHaveLength(1);
});

test('a scrub can be stopped', async () => {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  for (let n = 0; n < 10; n += 1) await store(cache, signedSample());
  const stop = new AbortController();
  const stopping = scrubbed(dir, { signal: stop.signal, progress: () => stop.abort(new Error('stopped')) });
  await expect(stopping).rejects.toThrow('stopped');
});
