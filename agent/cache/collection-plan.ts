import { FormatError } from '../nix/error.ts';
import type { HashPart } from '../nix/store-path.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { DiskCacheConfig, DiskCacheOptions } from './disk-cache.ts';
import { chooseVictims } from './eviction.ts';
import { realFiles } from './files.ts';
import { GroupedSync } from './grouped-sync.ts';
import { keptPaths } from './kept-paths.ts';
import { Layout } from './layout.ts';
import { NarIndex, type StoredNar, spaceOf } from './nar-index.ts';
import { NarinfoFiles } from './narinfo-files.ts';
import { PinnedClosure } from './pinned-closure.ts';
import { scan } from './scan.ts';
import { listIfThere } from './small-files.ts';
import { Space } from './space.ts';

/** A NAR that would go. */
export interface PlannedRemoval {
  /** The paths that go with it, as `<hash>-<name>`, or their hash parts where the narinfo cannot be read. */
  readonly paths: readonly string[];
  /** Its name in `nar/`. */
  readonly file: string;
  /** Disk space. */
  readonly bytes: number;
  /** Ms since the epoch. */
  readonly lastUse: number;
  /** `age`: not used for longer than `maxAge`; `room`: that the directory keeps to `maxSize` and `minFree`. */
  readonly reason: 'age' | 'room';
}

/** What a collection would do, and what it would leave. */
export interface CollectionPlan {
  readonly goes: readonly PlannedRemoval[];
  /** NARs that stay, and their disk space in bytes. */
  readonly stays: { readonly nars: number; readonly bytes: number };
  /** How many of these are older than `maxAge` and stay for a pin or root, or because a path that stays refers to them. */
  readonly old: { readonly pinned: number; readonly needed: number };
}

/**
 * Tells what a collection would remove from a cache directory now, without a change to it; an agent may use it meanwhile. Rejects with
 * the system's errors.
 */
export async function planCollection(
  config: DiskCacheConfig,
  { files = realFiles, wall = Date.now }: Pick<DiskCacheOptions, 'files' | 'wall'> = {},
): Promise<CollectionPlan> {
  const { dir, storeDir, maxAge } = config;
  const layout = new Layout(dir);
  const narinfos = new NarinfoFiles(files, layout, new GroupedSync(files), storeDir);
  const index = new NarIndex();
  await scan(files, layout, index, new AbortController().signal);
  const pinned = new PinnedClosure(() => keptPaths(dir, storeDir, files), storeDir, narinfos);
  await pinned.refresh();
  const isPinned = (nar: StoredNar) => nar.paths.some((path) => pinned.has(path));

  const goes: PlannedRemoval[] = [];
  const drop = async (bytes: number, olderThan: number, reason: PlannedRemoval['reason']) => {
    for (let left = bytes; ; ) {
      const victims = await chooseVictims(index, left, olderThan, isPinned);
      if (victims.length === 0) return;
      for (const nar of victims) {
        const { file, lastUse } = nar;
        const paths = await Promise.all(nar.paths.map((path) => nameOf(path, narinfos)));
        goes.push({ paths, file, bytes: spaceOf(nar), lastUse, reason });
        index.drop(file);
        left -= spaceOf(nar);
      }
    }
  };

  const olderThan = maxAge > 0 ? wall() - maxAge : Number.NEGATIVE_INFINITY;
  await drop(0, olderThan, 'age');
  const all = () => goes.reduce((sum, { bytes }) => sum + bytes, 0);
  const { free, total } = await files.space(dir);
  const others = await bytesIn(files, [layout.partials, layout.uploads.partials, layout.quarantine]);
  const space = new Space(
    systemClock,
    config,
    () => index.bytes + others,
    async () => ({ free: free + all(), total }),
    (bytes) => drop(bytes, Number.NEGATIVE_INFINITY, 'room'),
  );
  await space.tidy();

  const old = [...index.leastRecent()].filter(({ lastUse }) => lastUse < olderThan);
  const needed = old.filter((nar) => !isPinned(nar)).length;
  return {
    goes,
    stays: { nars: index.nars, bytes: index.bytes },
    old: { pinned: old.length - needed, needed },
  };
}

async function nameOf(path: HashPart, narinfos: NarinfoFiles): Promise<string> {
  try {
    return (await narinfos.read(path))?.storePath.base ?? path;
  } catch (error) {
    if (error instanceof FormatError) return path;
    throw error;
  }
}

async function bytesIn(files: typeof realFiles, directories: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const directory of directories) {
    for (const name of await listIfThere(files, directory))
      bytes += await files.stat(`${directory}/${name}`).then(
        ({ size }) => size,
        () => 0,
      );
  }
  return bytes;
}
