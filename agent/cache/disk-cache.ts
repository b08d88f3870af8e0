import { type NarHash, narHashOf } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { type HashPart, printStorePath, type StorePath } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import { Closures } from './closure.ts';
import { CacheDirectory } from './directory.ts';
import { type DiskCondition, DiskState } from './disk-state.ts';
import { CacheError, cacheFull } from './error.ts';
import { type Files, realFiles } from './files.ts';
import { GroupedSync } from './grouped-sync.ts';
import { Holds } from './holds.ts';
import { Intake } from './intake.ts';
import { keptPaths } from './kept-paths.ts';
import { Layout, type NarFile, narFileOf } from './layout.ts';
import { type CacheLog, silent } from './log.ts';
import type { NarCache, NarFileFacts, PartialNar, StoredFile } from './nar-cache.ts';
import { NarIndex, type StoredNar } from './nar-index.ts';
import { NarinfoFiles } from './narinfo-files.ts';
import { OtherFiles } from './other-files.ts';
import { PartialStore } from './partial-store.ts';
import { PinnedClosure } from './pinned-closure.ts';
import { Quarantine } from './quarantine.ts';
import { Reading } from './reading.ts';
import { Recompression } from './recompression.ts';
import { Removal, type Removed } from './removal.ts';
import { Roots } from './roots.ts';
import { scan } from './scan.ts';
import { Space } from './space.ts';
import { StateFile } from './state-file.ts';
import { StoredChecks } from './stored-checks.ts';
import { Storing } from './storing.ts';
import { type ScanStats, Upkeep } from './upkeep.ts';

/** Sizes in bytes, times in ms; 0 is no limit. */
export interface DiskCacheConfig {
  readonly dir: string;
  readonly storeDir: string;
  /** What all files in the directory may take together. */
  readonly maxSize: number;
  /** How long a NAR stays after its last use. */
  readonly maxAge: number;
  /** What stays free on the file system. */
  readonly minFree: number;
  /** `zstd` stores what came as xz anew, so that it is read faster; `keep`, the default, leaves it as it came. */
  readonly compression?: 'keep' | 'zstd';
}

/** What the cache uses of the world; the machine's own by default. */
export interface DiskCacheOptions {
  readonly files?: Files;
  readonly clock?: Clock;
  /** Ms since the epoch. */
  readonly wall?: () => number;
  readonly log?: CacheLog;
}

/** The state of the cache, for people and monitoring. Bytes are disk space. */
export interface DiskCacheStats {
  readonly paths: number;
  readonly nars: number;
  readonly bytes: number;
  readonly partial: { readonly files: number; readonly bytes: number };
  /** What was uploaded and is not in the cache yet. */
  readonly uploads: { readonly files: number; readonly bytes: number };
  readonly quarantine: { readonly nars: number; readonly bytes: number };
  readonly evicted: Readonly<Removed>;
  readonly refusedWrites: number;
  readonly failedReads: number;
  readonly disk: {
    readonly condition: DiskCondition;
    /** What it said against the last write; undefined when it takes writes. */
    readonly message: string | undefined;
    /** Bytes free on the file system; undefined before anything was written. */
    readonly free: number | undefined;
  };
  /** Undefined until the directory has been read for the first time. */
  readonly scan: ScanStats | undefined;
}

/** An interrupted transfer that nobody took up for so long is not worth its space; nor is a NAR without a narinfo. In ms. */
const idleTransfers = 7 * 86_400_000;
const idleUploads = 86_400_000;

/** The cache directory of one agent. */
export class DiskCache implements NarCache {
  /** NARs that are being uploaded. */
  readonly intake: Intake;
  readonly closures: Closures;
  readonly roots: Roots;
  readonly otherFiles: OtherFiles;
  readonly #log: CacheLog;
  readonly #storeDir: string;
  readonly #directory: CacheDirectory;
  readonly #disk: DiskState;
  readonly #index = new NarIndex();
  readonly #wrong = new Set<NarFile>();
  readonly #checks = new StoredChecks();
  readonly #removal: Removal;
  readonly #reading: Reading;
  readonly #storing: Storing;
  readonly #space: Space;
  readonly #partials: PartialStore;
  readonly #uploads: PartialStore;
  readonly #quarantine: Quarantine;
  readonly #recompression: Recompression | undefined;
  readonly #upkeep: Upkeep;
  readonly #state: { readonly files: Files; readonly layout: Layout; readonly sync: GroupedSync };
  #quarantined = 0;

  /**
   * Opens the directory, or makes it, and serves it at once; it is read into the index in the background. A disk that takes no
   * writes is no error: then nothing is stored until it does.
   * @throws CacheError `cache-locked` when another process uses the directory, `cache-wrong-store` when it is for another store
   */
  static async open(config: DiskCacheConfig, options: DiskCacheOptions = {}): Promise<DiskCache> {
    const cache = new DiskCache(config, options);
    try {
      await cache.#directory.prepare();
    } catch (error) {
      if (error instanceof CacheError) throw error;
      cache.#disk.refused(error);
    }
    cache.#upkeep.start();
    return cache;
  }

  private constructor(config: DiskCacheConfig, options: DiskCacheOptions) {
    const { dir, storeDir, maxSize, maxAge } = config;
    const { files = realFiles, clock = systemClock, wall = Date.now, log = silent } = options;
    const layout = new Layout(dir);
    const sync = new GroupedSync(files);
    const holds = new Holds();
    const index = this.#index;
    const wrong = this.#wrong;
    const narinfos = new NarinfoFiles(files, layout, sync, storeDir);
    const roots = new Roots(dir, storeDir, files, wall);
    const pinned = new PinnedClosure(() => keptPaths(dir, storeDir, files), storeDir, narinfos);
    const removal = new Removal(files, layout, sync, index, holds);
    const directory = new CacheDirectory(files, layout, sync, storeDir);
    const otherFiles = new OtherFiles({ files, layout, sync, take: (bytes) => space.take(bytes) });
    const disk = new DiskState(clock, () => this.#tryDisk(), log);
    const quarantine = new Quarantine(files, layout, wall);
    const space = new Space(
      clock,
      config,
      () => index.bytes + this.#partials.bytes + this.#uploads.bytes + quarantine.bytes,
      () => files.space(dir),
      (bytes) => this.#upkeep.evict(bytes),
    );
    const take = (bytes: number) => space.take(bytes);
    const isRead = () => this.#upkeep.scanned !== undefined;
    const storing = new Storing({
      files,
      layout,
      sync,
      index,
      holds,
      narinfos,
      pinned,
      removal,
      isRead,
      take,
      wrong,
      wall,
    });
    const half = maxSize === 0 ? Number.POSITIVE_INFINITY : maxSize / 2;
    const context = {
      files,
      layout,
      disk,
      largest: () => space.largest,
      take,
      publish: async (narinfo: Narinfo, file: NarFileFacts, from: string) => {
        await storing.publish(narinfo, file, from);
        this.#recompression?.add(narinfo.storePath.hashPart);
      },
    };
    const isStored = (narHash: NarHash) => (index.byNarHash(narHash)?.paths.length ?? 0) > 0;
    const partials = new PartialStore(context, { bytes: half, age: idleTransfers, isStored }, wall);
    const staging = { ...context, layout: layout.uploads };
    const uploads = new PartialStore(staging, { bytes: half, age: idleUploads }, wall);
    this.intake = new Intake({ disk, space, index, uploads, mostBytes: half });
    this.closures = new Closures({ files, layout, index, narinfos, isRead });
    this.roots = roots;
    this.otherFiles = otherFiles;
    this.#storeDir = storeDir;
    this.#log = log;
    this.#state = { files, layout, sync };
    this.#directory = directory;
    this.#disk = disk;
    this.#removal = removal;
    this.#reading = new Reading({ files, layout, index, holds, narinfos, pinned, wrong, wall });
    this.#storing = storing;
    this.#space = space;
    this.#partials = partials;
    this.#uploads = uploads;
    this.#quarantine = quarantine;
    this.#recompression = config.compression === 'zstd' ? new Recompression(this) : undefined;
    this.#upkeep = new Upkeep({
      clock,
      wall,
      log,
      directory,
      disk,
      index,
      removal,
      partials: [partials, uploads],
      quarantine,
      otherFiles,
      pinned,
      scan: (signal) => scan(files, layout, index, signal),
      tidySpace: () => space.tidy(),
      maxAge,
    });
  }

  /** Stops all background work and lets other processes use the directory. Partial files must have been given up. */
  async close(): Promise<void> {
    await this.#disk.close();
    await this.#recompression?.stop();
    await this.#upkeep.stop();
    this.#directory.close();
  }

  /** Resolves when the background work of now (the scan, eviction by age, recompression) is done. */
  async settled(): Promise<void> {
    await this.#upkeep.settled();
    await this.#recompression?.settled();
  }

  /** Reads the directory anew and removes what is above the limits; resolves to what went meanwhile. */
  collect(): Promise<Readonly<Removed>> {
    return this.#upkeep.collect();
  }

  stats(): DiskCacheStats {
    return {
      paths: this.#index.paths,
      nars: this.#index.nars,
      bytes: this.#index.bytes,
      partial: { files: this.#partials.count, bytes: this.#partials.bytes },
      uploads: { files: this.#uploads.count, bytes: this.#uploads.bytes },
      quarantine: { nars: this.#quarantined, bytes: this.#quarantine.bytes },
      evicted: { ...this.#upkeep.evicted },
      refusedWrites: this.#disk.refusals,
      failedReads: this.#reading.failures,
      disk: { condition: this.#disk.condition, message: this.#disk.message, free: this.#space.free },
      scan: this.#upkeep.scanned,
    };
  }

  narinfo(path: HashPart): Promise<Narinfo | undefined> {
    return this.#reading.narinfo(path);
  }

  async open(narinfo: Narinfo): Promise<StoredFile | undefined> {
    const file = await this.#reading.open(narinfo);
    if (file === undefined) return undefined;
    try {
      if (await this.#checks.isRight(narinfo, file)) return file;
      await this.quarantine(narinfo, 'its file is not the one that its narinfo describes');
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
    }
    await file.close();
    return undefined;
  }

  async pathsOf(url: string): Promise<readonly HashPart[]> {
    const file = narFileOf(url);
    if (file === undefined) return [];
    if (this.#index.nar(file) === undefined && this.#upkeep.scanned === undefined)
      await this.#upkeep.settled();
    return this.#index.nar(file)?.paths ?? [];
  }

  /**
   * The paths whose narinfos name a derivation (`<hash>-<name>.drv`) as Deriver, and perhaps a few others, as the narinfos say. Waits for
   * the first reading of the directory.
   */
  async outputsOf(derivation: string): Promise<readonly HashPart[]> {
    if (this.#upkeep.scanned === undefined) await this.#upkeep.settled();
    return this.#index.outputsOf(derivation);
  }

  partial(narHash: NarHash): Promise<PartialNar | undefined> {
    return this.#whileWritable(() => this.#partials.open(narHash));
  }

  adopt(narinfo: Narinfo): Promise<Narinfo | undefined> {
    return this.#whileWritable(() => this.#storing.adopt(narinfo));
  }

  async quarantine(narinfo: Narinfo, reason: string): Promise<void> {
    const file = narFileOf(narinfo.url);
    if (file === undefined || this.#wrong.has(file)) return;
    this.#wrong.add(file);
    this.#quarantined += 1;
    this.#log.warn({ path: narinfo.storePath.base, file, reason }, 'a stored NAR is wrong and is set aside');
    if (!this.#directory.locked) return;
    try {
      await this.#removal.setAside(this.#index.nar(file) ?? unknownNar(file, narinfo));
      this.#wrong.delete(file);
      await this.#quarantine.tidy();
    } catch (error) {
      this.#disk.refused(error);
    }
  }

  /** A place in the directory for what the agent remembers from one start to the next, in a file of that name, at most 1 MiB. */
  state(name: string): StateFile {
    const { files, layout, sync } = this.#state;
    return new StateFile(files, sync, layout, name, () => this.#disk.writable);
  }

  async #whileWritable<T>(write: () => Promise<T>): Promise<T | undefined> {
    if (!this.#disk.writable) return undefined;
    try {
      return await write();
    } catch (error) {
      this.#disk.refused(error);
      return undefined;
    }
  }

  /**
   * Makes the path the newest of a root, when all that it refers to is here; resolves to a path that is not. Rejects as Roots.set and
   * with the system's errors.
   */
  setRoot(name: string, path: StorePath, keep: number): Promise<HashPart | undefined> {
    return this.#upkeep.whileNothingGoes(async () => {
      const lacking = await this.closures.lacks(path.hashPart);
      if (lacking === undefined) await this.roots.set(name, printStorePath(path, this.#storeDir), keep);
      return lacking;
    });
  }

  /** Rejects while nothing can be stored. */
  async #tryDisk(): Promise<void> {
    // First make room: a full disk does not even take the trial.
    if (this.#disk.condition === 'full' && !(await this.#space.makeRoom())) throw cacheFull();
    await this.#directory.prepare();
  }
}

/** A NAR that the index does not know yet, as the only one of its path. */
function unknownNar(file: NarFile, { storePath, narHash, fileSize = 0 }: Narinfo): StoredNar {
  return { file, size: fileSize, narHash: narHashOf(narHash), paths: [storePath.hashPart], lastUse: 0 };
}
