import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseVictims } from '../../../agent/cache/eviction.ts';
import { isNarFile, type NarFile } from '../../../agent/cache/layout.ts';
import { NarIndex } from '../../../agent/cache/nar-index.ts';
import { isNarHash, type NarHash } from '../../../agent/nix/hash.ts';
import { type HashPart, isHashPart } from '../../../agent/nix/store-path.ts';

/** What the index should be, in the plainest words: a list, least recently used first. */
interface Nar {
  readonly file: NarFile;
  readonly size: number;
  readonly narHash: NarHash | undefined;
  readonly paths: readonly HashPart[];
  readonly lastUse: number;
}

interface Model {
  nars: Nar[];
  now: number;
}

/** Ms from one command to the next: some come within the same second. */
const step = 400;

/** Half of them as Nix names them, two of these with the same hash. */
const fileNames = [
  '0.nar.xz',
  '1.nar.xz',
  '2',
  ...['0.nar', '0.nar.xz', '1.nar.zst'].map((name) => name.padStart(name.length + 51, '0')),
];
const files = names(6, (n) => fileNames[n] ?? '', isNarFile);
const paths = names(8, (n) => String(n).repeat(32), isHashPart);
const hashes = names(2, (n) => String(n).repeat(52), isNarHash);

/** A command that changes the model, and the index in the same way. */
function command(
  name: string,
  change: (model: Model, index: NarIndex) => void | Promise<void>,
): fc.AsyncCommand<Model, NarIndex> {
  return {
    check: () => true,
    async run(model, index) {
      model.now += step;
      await change(model, index);
      expectSame(model, index);
    },
    toString: () => name,
  };
}

const commands = [
  fc
    .record({
      file: fc.constantFrom(...files),
      size: fc.nat(20_000),
      narHash: fc.constantFrom(undefined, ...hashes),
      path: fc.option(fc.constantFrom(...paths), { nil: undefined }),
      ago: fc.nat(10),
    })
    .map(({ file, size, narHash, path, ago }) =>
      command(`put ${file} ${size} ${path}`, (model, index) => {
        const used = Math.max(model.now - ago * step, 0);
        index.put({ file, size, narHash, lastUse: used }, path);
        const known = model.nars.find((nar) => nar.file === file);
        const former = model.nars.find((nar) => path && nar.file !== file && nar.paths.includes(path));
        if (former && path) use(model, { ...former, paths: former.paths.filter((other) => other !== path) });
        const all = new Set([...(known?.paths ?? []), ...(path ? [path] : [])]);
        const lastUse = Math.max(used, known?.lastUse ?? 0);
        const nar = { file, size, narHash: narHash ?? known?.narHash, lastUse };
        use(model, { ...nar, paths: [...all] });
        if (narHash) expect(index.byNarHash(narHash)?.file).toBe(file);
      }),
    ),
  fc.constantFrom(...files).map((file) =>
    command(`touch ${file}`, (model, index) => {
      index.touch(file, model.now);
      const nar = model.nars.find((nar) => nar.file === file);
      if (nar) use(model, { ...nar, lastUse: model.now });
    }),
  ),
  fc.constantFrom(...paths).map((path) =>
    command(`dropPath ${path}`, (model, index) => {
      index.dropPath(path);
      const nar = model.nars.find((nar) => nar.paths.includes(path));
      if (nar) use(model, { ...nar, paths: nar.paths.filter((other) => other !== path) });
    }),
  ),
  fc.constantFrom(...files).map((file) =>
    command(`drop ${file}`, (model, index) => {
      index.drop(file);
      model.nars = model.nars.filter((nar) => nar.file !== file);
    }),
  ),
  fc.constant(
    command('sort', (model, index) => {
      index.sort();
      model.nars = model.nars.toSorted((a, b) => Math.floor(a.lastUse / 1000) - Math.floor(b.lastUse / 1000));
    }),
  ),
  fc
    .record({
      share: fc.double({ min: 0, max: 1.2, noNaN: true }),
      age: fc.nat(40),
      pinned: fc.constantFrom(...paths),
    })
    .map(({ share, age, pinned }) =>
      command(
        `evict ${share} of the bytes and all older than ${age}, except ${pinned}`,
        async (model, index) => {
          const bytes = Math.floor(share * index.bytes);
          const olderThan = model.now - age * step;
          const isPinned = (nar: Nar) => nar.paths.includes(pinned);
          const victims = await chooseVictims(index, bytes, olderThan, isPinned);

          const candidates = model.nars.filter((nar) => !isPinned(nar));
          const first = candidates.slice(0, victims.length);
          expect(victims).toEqual(first);
          // No fewer than needed, and no more.
          const left = candidates.slice(victims.length);
          const freed = (nars: readonly Nar[]) => nars.reduce((sum, nar) => sum + space(nar), 0);
          if (left.length > 0) expect(freed(victims)).toBeGreaterThanOrEqual(bytes);
          const last = victims.at(-1);
          if (last && last.lastUse >= olderThan) expect(freed(victims.slice(0, -1))).toBeLessThan(bytes);
          expect(left[0]?.lastUse ?? olderThan).toBeGreaterThanOrEqual(olderThan);

          for (const { file } of victims) index.drop(file);
          model.nars = model.nars.filter((nar) => !victims.some(({ file }) => file === nar.file));
        },
      ),
    ),
];

test('the index and its eviction behave like a simple list', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 60 }), async (run) => {
      await fc.asyncModelRun(async () => ({ model: { nars: [], now: 0 }, real: new NarIndex() }), run);
    }),
    { numRuns: 500 },
  );
});

test('whoever goes through the index meets what is still as old as it was, once', () => {
  const index = new NarIndex();
  const put = (file: NarFile, lastUse: number) => index.put({ file, size: 1, narHash: undefined, lastUse });
  const late = files.slice(5);
  const met: NarFile[] = [];
  for (const [n, file] of files.slice(0, 5).entries()) put(file, n);
  for (const { file } of index.leastRecent()) {
    met.push(file);
    if (met.length > 1) continue;
    for (const used of files.slice(1, 2)) index.touch(used, 10);
    for (const dropped of files.slice(2, 4)) index.drop(dropped);
    for (const file of late) put(file, 11);
  }
  expect(met).toEqual([files[0], files[4]]);
});

function use(model: Model, nar: Nar): void {
  model.nars = [...model.nars.filter(({ file }) => file !== nar.file), nar];
}

function expectSame({ nars }: Model, index: NarIndex): void {
  expect([...index.leastRecent()]).toEqual(nars);
  expect([...index.everyPath()].sort()).toEqual(nars.flatMap((nar) => nar.paths).sort());
  for (const file of files) expect(index.has(file)).toBe(nars.some((nar) => nar.file === file));
  expect(index.nars).toBe(nars.length);
  expect(index.paths).toBe(nars.reduce((sum, nar) => sum + nar.paths.length, 0));
  expect(index.bytes).toBe(nars.reduce((sum, nar) => sum + space(nar), 0));
  for (const path of paths) {
    expect(index.fileOf(path)).toBe(nars.find((nar) => nar.paths.includes(path))?.file);
  }
  for (const hash of hashes) {
    const known = index.byNarHash(hash);
    expect(known?.narHash).toBe(nars.some(({ narHash }) => narHash === hash) ? hash : undefined);
  }
}

/** Files take whole blocks; each narinfo takes one. */
function space({ size, paths }: Nar): number {
  return Math.max(4096, Math.ceil(size / 4096) * 4096) + 4096 * paths.length;
}

function names<T extends string>(
  count: number,
  name: (n: number) => string,
  is: (text: string) => text is T,
): T[] {
  return Array.from({ length: count }, (_, n) => name(n)).filter(is);
}
