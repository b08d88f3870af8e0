import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { planCollection } from '../../../agent/cache/collection-plan.ts';
import { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { spaceOfNar } from '../../../agent/cache/nar-index.ts';
import { Pins } from '../../../agent/cache/pins.ts';
import { Roots } from '../../../agent/cache/roots.ts';
import { printStorePath } from '../../../agent/nix/store-path.ts';
import { type MadePath, madePaths, sequence, writePaths } from './support/many-paths.ts';
import { collected, storeDir } from './support/sample.ts';
import { fastDirectory, temporaryDirectory } from './support/temporary.ts';

const count = 20_000;
const day = 86_400_000;
const maxAge = 14 * day;
const now = Date.now();
/** Two machines with a history, and a pin. */
const rooted = [[1_000, 3_000, 5_000], [7_000, 7_500], [12_345]];

describe('a cache of 20,000 paths', { timeout: 120_000 }, () => {
  let paths: MadePath[];
  /** What is kept for its age or a root, with all that it refers to. */
  let kept: Set<number>;

  beforeAll(() => {
    // One in twenty was used in the last 14 days.
    paths = madePaths(count, 4, now, 280 * day);
    kept = closureOf(paths, [...recent(paths), ...rooted.flat()]);
  });

  async function prepare() {
    const dir = await temporaryDirectory(fastDirectory);
    await writePaths(dir, paths);
    const roots = new Roots(dir, storeDir);
    for (const [n, history] of rooted.entries()) {
      for (const at of history) {
        const path = printStorePath(must(paths[at]).storePath, storeDir);
        if (n < 2) await roots.set(`machine-${n}`, path, 3);
        else await new Pins(dir, storeDir).pin('kept', path);
      }
    }
    return dir;
  }

  test('what was not used for long goes; nothing that stays loses a reference, and no reader is disturbed', async () => {
    const dir = await prepare();
    const config = { dir, storeDir, maxSize: 0, maxAge, minFree: 0 };
    const goes = paths.map((_, at) => at).filter((at) => !kept.has(at));
    expect(goes.length).toBeGreaterThan(count / 10);
    expect(kept.size).toBeGreaterThan(recent(paths).length + 1_000);

    const plan = await planCollection(config);
    expect(plan.goes.flatMap(({ paths }) => paths).sort()).toEqual(
      goes.map((at) => must(paths[at]).storePath.base).sort(),
    );
    expect(new Set(plan.goes.map(({ reason }) => reason))).toEqual(new Set(['age']));
    expect(plan.stays.nars).toBe(kept.size);
    expect(plan.old.pinned + plan.old.needed).toBe(kept.size - recent(paths).length);
    expect(await present(dir)).toHaveLength(count);

    // The first round of a cache that opens waits for the scan: a reader is there before it.
    const cache = await DiskCache.open(config);
    const reading = goes.slice(0, 50).map((at) => must(paths[at]));
    const open = await Promise.all(
      reading.map(async ({ storePath }) =>
        must(await cache.open(must(await cache.narinfo(storePath.hashPart)))),
      ),
    );
    const asked = sequence(7);
    let answered = 0;
    let running = true;
    const reader = async () => {
      while (running) {
        const at = must([...kept][Math.floor(asked() * kept.size)]);
        const narinfo = must(await cache.narinfo(must(paths[at]).storePath.hashPart));
        const file = must(await cache.open(narinfo));
        expect((await collected(file.read(0))).length).toBe(must(paths[at]).size);
        await file.close();
        answered += 1;
      }
    };
    const readers = Promise.all([reader(), reader()]);
    await cache.settled();
    running = false;
    await readers;
    expect(answered).toBeGreaterThan(0);

    for (const [n, file] of open.entries()) {
      expect((await collected(file.read(0))).length).toBe(must(reading[n]).size);
      await file.close();
    }
    const here = await present(dir);
    // What was being read counts as used now, and keeps its references.
    const used = reading.map(({ storePath }) => paths.findIndex((path) => path.storePath === storePath));
    const expected = closureOf(paths, [...kept, ...used]);
    expect(here.sort()).toEqual([...expected].map((at) => must(paths[at]).storePath.hashPart).sort());
    expect((await readdir(join(dir, 'nar'))).length).toBe(expected.size);
    await cache.close();
  });

  test('beyond its size, what was used longest ago goes, and again nothing loses a reference', async () => {
    const dir = await prepare();
    const all = paths.reduce((sum, { size }) => sum + spaceOfNar(size, 1), 0);
    const config = { dir, storeDir, maxSize: Math.floor(all / 2), maxAge: 0, minFree: 0 };
    const plan = await planCollection(config);
    expect(new Set(plan.goes.map(({ reason }) => reason))).toEqual(new Set(['room']));

    const cache = await DiskCache.open(config);
    await cache.settled();
    await cache.close();
    const here = new Set(await present(dir));
    const stays = paths.filter(({ storePath }) => here.has(storePath.hashPart));
    expect(plan.stays.nars).toBe(stays.length);
    const bytes = stays.reduce((sum, { size }) => sum + spaceOfNar(size, 1), 0);
    expect(bytes).toBeLessThanOrEqual(config.maxSize);
    // No more than needed: the last victim, of at most 16 KiB, made the difference.
    expect(bytes).toBeGreaterThan(config.maxSize - 32_768);

    for (const { references } of stays)
      for (const at of references) expect(here.has(must(paths[at]).storePath.hashPart)).toBe(true);
    const pinned = closureOf(paths, rooted.flat());
    for (const at of pinned) expect(here.has(must(paths[at]).storePath.hashPart)).toBe(true);
    // Whatever stays was used later, itself or by way of what refers to it, than whatever went. The scan is exact to the second.
    const uses = usesOf(paths);
    const isHere = (at: number) => here.has(must(paths[at]).storePath.hashPart);
    const newestGone = uses.reduce((newest, use, at) => (isHere(at) ? newest : Math.max(newest, use)), 0);
    for (const [at, use] of uses.entries())
      if (isHere(at) && !pinned.has(at)) expect(use).toBeGreaterThan(newestGone - 1_000);
  });
});

/** When each was last used, itself or by way of what refers to it. */
function usesOf(paths: readonly MadePath[]): number[] {
  const uses = paths.map(({ lastUse }) => lastUse);
  for (const [at, { references }] of [...paths.entries()].reverse())
    for (const other of references) uses[other] = Math.max(must(uses[other]), must(uses[at]));
  return uses;
}

function recent(paths: readonly MadePath[]): number[] {
  return paths.flatMap(({ lastUse }, at) => (lastUse >= now - maxAge + 60_000 ? [at] : []));
}

function closureOf(paths: readonly MadePath[], from: readonly number[]): Set<number> {
  const closure = new Set(from);
  for (const at of closure) for (const other of must(paths[at]).references) closure.add(other);
  return closure;
}

async function present(dir: string): Promise<string[]> {
  return (await readdir(dir)).flatMap((name) => (name.endsWith('.narinfo') ? [name.slice(0, 32)] : []));
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('It is not there.');
  return value;
}
