import type { Clock } from '../telemetry/clock.ts';
import type { CacheDirectory } from './directory.ts';
import type { DiskState } from './disk-state.ts';
import { chooseVictims } from './eviction.ts';
import type { CacheLog } from './log.ts';
import type { NarIndex, StoredNar } from './nar-index.ts';
import type { OtherFiles } from './other-files.ts';
import type { PartialStore } from './partial-store.ts';
import type { PinnedClosure } from './pinned-closure.ts';
import type { Quarantine } from './quarantine.ts';
import type { Removal, Removed } from './removal.ts';
import type { ScanReport } from './scan.ts';
import { Serial } from './serial.ts';

const tidyEvery = 10 * 60_000;
/** Scripts and other machines add to the directory, too. */
const scanEvery = 60 * 60_000;

/** The parts of the cache that need upkeep. */
export interface UpkeepParts {
  readonly clock: Clock;
  /** Ms since the epoch. */
  readonly wall: () => number;
  readonly log: CacheLog;
  readonly directory: CacheDirectory;
  readonly disk: DiskState;
  readonly index: NarIndex;
  readonly removal: Removal;
  /** Those that go first when there must be room come first. */
  readonly partials: readonly PartialStore[];
  readonly quarantine: Quarantine;
  readonly otherFiles: OtherFiles;
  readonly pinned: PinnedClosure;
  /** Reads the directory into the index. */
  readonly scan: (signal: AbortSignal) => Promise<ScanReport>;
  /** Removes what is above the size limits. */
  readonly tidySpace: () => Promise<void>;
  /** Ms since last use after which NARs go; 0 is never. */
  readonly maxAge: number;
}

/** How the last scan of the directory went. */
export interface ScanStats extends ScanReport {
  /** Ms. */
  readonly took: number;
}

/** Reads the directory at the start and each hour, and keeps it within its limits. */
export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #serial = new Serial();
  readonly #stop = new AbortController();
  readonly #evicted: Removed = { nars: 0, narinfos: 0, bytes: 0 };
  #scanned: ScanStats | undefined;
  #nextScan = 0;
  #running: Promise<void> = Promise.resolve();
  #cancel: (() => void) | undefined;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /** What has been evicted since the start. */
  get evicted(): Readonly<Removed> {
    return this.#evicted;
  }

  /** The last scan; undefined while the first is under way. */
  get scanned(): ScanStats | undefined {
    return this.#scanned;
  }

  /** Begins; the first round, with its scan, runs in the background. */
  start(): void {
    this.#running = this.#round();
  }

  /** Resolves when the round that is under way is done. */
  settled(): Promise<void> {
    return this.#running;
  }

  /** Reads the directory anew and removes what is above the limits. Resolves to what went, by this round or others meanwhile. */
  async collect(): Promise<Removed> {
    const before = { ...this.#evicted };
    await this.#running;
    this.#cancel?.();
    this.#nextScan = 0;
    this.#running = this.#round();
    await this.#running;
    const { nars, narinfos, bytes } = this.#evicted;
    return { nars: nars - before.nars, narinfos: narinfos - before.narinfos, bytes: bytes - before.bytes };
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancel?.();
    await this.#running;
  }

  /**
   * Removes what was not used for longest, to free that many bytes or as many as there are. Nothing goes before all is known: what
   * there is, and what is pinned. Rejects when the disk fails.
   */
  async evict(bytes: number): Promise<void> {
    let left = await this.#serial.run(() => this.#remove(bytes, Number.NEGATIVE_INFINITY));
    if (!this.#parts.directory.locked) return;
    for (const store of this.#parts.partials) if (left > 0) left -= await store.makeRoom(left);
  }

  /** Does something while nothing is removed. */
  whileNothingGoes<T>(task: () => Promise<T>): Promise<T> {
    return this.#serial.run(task);
  }

  async #round(): Promise<void> {
    await this.#attempt(() => this.#removeLeftovers());
    await this.#attempt(() => this.#scanIfDue());
    await this.#attempt(() => this.#keepLimits());
    if (this.#stop.signal.aborted) return;
    this.#cancel = this.#parts.clock.after(tidyEvery, () => {
      this.#running = this.#round();
    });
  }

  /** What fails is tried again in the next round, and does not keep the others from their turn. */
  async #attempt(step: () => Promise<void>): Promise<void> {
    try {
      if (!this.#stop.signal.aborted) await step();
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#parts.disk.refused(error);
    }
  }

  async #removeLeftovers(): Promise<void> {
    const { directory, quarantine } = this.#parts;
    if (directory.locked) await quarantine.tidy();
  }

  async #keepLimits(): Promise<void> {
    const { directory, partials, maxAge, wall, tidySpace, otherFiles } = this.#parts;
    if (!directory.locked) return;
    for (const store of partials) await store.tidy();
    if (maxAge > 0) {
      await this.#serial.run(() => this.#remove(0, wall() - maxAge));
      await otherFiles.tidy(wall() - maxAge);
    }
    await tidySpace();
  }

  async #scanIfDue(): Promise<void> {
    const { clock, log, index, scan } = this.#parts;
    const began = clock.now();
    if (began < this.#nextScan) return;
    const report = await scan(this.#stop.signal);
    const first = this.#scanned === undefined;
    this.#scanned = { ...report, took: clock.now() - began };
    this.#nextScan = began + scanEvery;
    if (first)
      log.info(
        { ...this.#scanned, nars: index.nars, bytes: index.bytes },
        'the cache directory has been read',
      );
  }

  /** Resolves to the bytes that are still to be freed. */
  async #remove(bytes: number, olderThan: number): Promise<number> {
    const { index, removal, pinned, directory } = this.#parts;
    if (this.#scanned === undefined || !directory.locked) return bytes;
    await pinned.refresh();
    const spare = (nar: StoredNar) => !removal.isFree(nar) || nar.paths.some((path) => pinned.has(path));
    for (let left = bytes; ; ) {
      const nars = this.#evicted.nars;
      const victims = await chooseVictims(index, left, olderThan, spare);
      await removal.remove(victims, (batch) => {
        left -= batch.bytes;
        this.#evicted.nars += batch.nars;
        this.#evicted.narinfos += batch.narinfos;
        this.#evicted.bytes += batch.bytes;
      });
      if (this.#evicted.nars === nars) return left;
    }
  }
}
