import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import type { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { narHashOf } from '../../../agent/nix/hash.ts';
import { type Narinfo, parseNarinfo } from '../../../agent/nix/narinfo.ts';
import { FakeTime } from './support/fake-time.ts';
import { fetched, pathsOf, sample, sha256, store, storeDir, twinOf } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

const hour = 60 * 60_000;

function nix(...argv: string[]): string {
  const [command = '', ...rest] = argv;
  const options = ['--option', 'build-users-group', '', '--option', 'experimental-features', 'nix-command'];
  const run = spawnSync(command, [...options, ...rest], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${argv.join(' ')}: ${run.error?.message ?? run.stderr}`);
  return run.stdout.trim();
}

/** A cache that `nix copy` has written, and the derivation in it, which refers to a derivation and a file. */
async function cacheByNix(
  skip: (note: string) => never,
): Promise<{ origin: string; root: string; store: string }> {
  if (spawnSync('nix', ['--version']).status !== 0) skip('there is no Nix here');
  const dir = await temporaryDirectory();
  const store = join(dir, 'store');
  const origin = join(dir, 'cache');
  const root = nix(
    'nix-instantiate',
    '--store',
    store,
    '-E',
    `
    let common = { system = "x86_64-linux"; builder = "/bin/sh"; };
    in derivation (common // {
      name = "root";
      dependency = derivation (common // { name = "dependency"; });
      file = builtins.toFile "some-text" "${'text '.repeat(1000)}";
    })`,
  );
  nix('nix', 'copy', '--derivation', '--from', store, '--to', `file://${origin}?compression=zstd`, root);
  return { origin, root, store };
}

async function narinfosIn(dir: string): Promise<Narinfo[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.narinfo'));
  return Promise.all(
    names.map(async (name) => parseNarinfo(await readFile(join(dir, name), 'utf8'), storeDir)),
  );
}

async function relay(origin: string, cache: DiskCache, narinfo: Narinfo): Promise<void> {
  const file = await readFile(join(origin, narinfo.url));
  const partial = await cache.partial(narHashOf(narinfo.narHash));
  await partial?.begin({ sourceId: origin, url: narinfo.url, compression: narinfo.compression });
  await partial?.append(file);
  expect(await partial?.commit(narinfo, { hash: sha256(file), size: file.length })).toBe(true);
  await partial?.release();
}

test('nix copy --from file:// takes a closure out of the cache directory while more is being stored', async ({
  skip,
}) => {
  const { origin, root, store: original } = await cacheByNix(skip);
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  for (const narinfo of await narinfosIn(origin)) await relay(origin, cache, narinfo);
  const writing = Promise.all(Array.from({ length: 50 }, () => store(cache, sample())));
  const copy = await temporaryDirectory();
  nix('nix', 'copy', '--derivation', '--from', `file://${dir}`, '--to', copy, root);
  await writing;

  const closure = nix('nix-store', '--store', copy, '-qR', root).split('\n');
  expect(closure).toHaveLength(3);
  for (const path of closure) {
    expect(await readFile(join(copy, path))).toEqual(await readFile(join(original, path)));
  }
  nix('nix', 'store', 'verify', '--store', copy, '--no-trust', '--all');
});

test('a directory that nix copy wrote is used in place', async ({ skip }) => {
  const { origin, root } = await cacheByNix(skip);
  const before = await narinfosIn(origin);
  const cacheInfo = await readFile(join(origin, 'nix-cache-info'));
  const cache = await openCache({ dir: origin });
  await cache.settled();
  expect(cache.stats()).toMatchObject({ paths: 3, nars: 3, scan: { dangling: 0, unreadable: 0 } });
  for (const narinfo of before) {
    expect(await cache.narinfo(narinfo.storePath.hashPart)).toEqual(narinfo);
    const file = await cache.open(narinfo);
    expect(file?.size).toBe(narinfo.fileSize);
    await file?.close();
  }
  expect(await readFile(join(origin, 'nix-cache-info'))).toEqual(cacheInfo);
  expect(before.map(({ storePath }) => storePath.base)).toContain(basename(root));
});

test('what others add, use and remove is noticed: at once when asked for, else within the hour', async () => {
  const [dir, elsewhere] = [await temporaryDirectory(), await temporaryDirectory()];
  const other = await openCache({ dir: elsewhere });
  const [asked, pushed, removed, usedByOthers, unused] = [sample(), sample(), sample(), sample(), sample()];
  const time = new FakeTime();
  const cache = await openCache({ dir, maxAge: 2 * hour }, { clock: time, wall: time.wall });
  for (const one of [removed, usedByOthers, unused]) await store(cache, one);
  await cache.settled();
  for (const one of [asked, pushed]) {
    await store(other, one);
    for (const kind of ['nar', 'narinfo'] as const) {
      await writeFile(pathsOf(dir, one)[kind], await readFile(pathsOf(elsewhere, one)[kind]));
    }
  }
  for (const path of Object.values(pathsOf(dir, removed))) await unlink(path);
  const { nar } = pathsOf(dir, usedByOthers);
  await utimes(nar, Date.now() / 1000 + 1800, Date.now() / 1000);

  expect(await fetched(cache, asked)).toEqual(asked.file);
  expect(cache.stats()).toMatchObject({ paths: 4 });
  time.pass(hour);
  await cache.settled();
  // The round that began in that hour came too early: the next one scans.
  time.pass(hour / 6);
  await cache.settled();
  expect(cache.stats()).toMatchObject({ paths: 4, nars: 4 });
  expect(await cache.adopt(twinOf(pushed).narinfo)).toBeDefined();
  expect(await cache.adopt(twinOf(removed).narinfo)).toBeUndefined();
  time.pass(1.2 * hour);
  await cache.settled();
  expect(await readdir(join(dir, 'nar'))).not.toContain(basename(pathsOf(dir, unused).nar));
  expect(await fetched(cache, usedByOthers)).toEqual(usedByOthers.file);
});

test('whatever lies in the directory, the scan counts it and goes on', async () => {
  const dir = await temporaryDirectory();
  const before = await openCache({ dir });
  const [good, dangling, nonsense] = [sample(), sample(), sample()];
  for (const one of [good, dangling, nonsense]) await store(before, one);
  await before.close();
  await rm(pathsOf(dir, dangling).nar);
  await writeFile(pathsOf(dir, nonsense).narinfo, '<html>');
  await mkdir(join(dir, `${'0'.repeat(32)}.narinfo`));
  await writeFile(join(dir, 'README'), 'notes');
  await mkdir(join(dir, 'nar', 'directory'));

  const cache = await openCache({ dir });
  await cache.settled();
  expect(cache.stats()).toMatchObject({ paths: 1, nars: 1, scan: { dangling: 1, unreadable: 2 } });
  expect(await fetched(cache, good)).toEqual(good.file);
  // Nobody knows which narinfo could not be read: its NAR stays.
  expect((await stat(pathsOf(dir, nonsense).nar)).isFile()).toBe(true);
});
