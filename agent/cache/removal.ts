import { isDeepStrictEqual } from 'node:util';
import { Departing } from './departing.ts';
import { isAbsent } from './error.ts';
import type { Files } from './files.ts';
import type { GroupedSync } from './grouped-sync.ts';
import type { Holds } from './holds.ts';
import { type Layout, narinfoName } from './layout.ts';
import { type NarIndex, type StoredNar, spaceOf } from './nar-index.ts';
import { removeIfThere } from './small-files.ts';

/** What a removal achieved. */
export interface Removed {
  nars: number;
  narinfos: number;
  /** Disk space. */
  bytes: number;
}

const batchSize = 64;

/**
 * Takes NARs out of the cache together with the narinfos that name them. The narinfos go first, durably, so that a power loss
 * leaves no narinfo without its NAR (I7).
 */
export class Removal {
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #sync: GroupedSync;
  readonly #index: NarIndex;
  readonly #holds: Holds;

  constructor(files: Files, layout: Layout, sync: GroupedSync, index: NarIndex, holds: Holds) {
    this.#files = files;
    this.#layout = layout;
    this.#sync = sync;
    this.#index = index;
    this.#holds = holds;
  }

  /** Whether the NAR is as given and nobody holds it or one of its paths. */
  isFree(nar: StoredNar): boolean {
    const unchanged = isDeepStrictEqual(this.#index.nar(nar.file), nar);
    return unchanged && ![nar.file, ...nar.paths].some((name) => this.#holds.isHeld(name));
  }

  /**
   * Removes NARs, except those that are held, used or changed since they were chosen, or needed by paths that stay; one that refers to
   * another must come before it. Tells of each batch as it goes. Rejects with what the disk said; what could not be removed is still in the index then.
   */
  async remove(chosen: readonly StoredNar[], removed: (batch: Removed) => void): Promise<void> {
    for (let start = 0; start < chosen.length; start += batchSize) {
      const batch = this.#leave(chosen.slice(start, start + batchSize));
      await this.#takeOut(batch, (path) => removeIfThere(this.#files, path));
      removed({
        nars: batch.length,
        narinfos: batch.reduce((sum, nar) => sum + nar.paths.length, 0),
        bytes: batch.reduce((sum, nar) => sum + spaceOf(nar), 0),
      });
    }
  }

  /** Moves a NAR to `quarantine/`, also while it is read. Rejects with what the disk said. */
  setAside(nar: StoredNar): Promise<void> {
    return this.#takeOut([nar], async (path, name) => {
      await this.#files.rename(path, this.#layout.setAside(name)).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    });
  }

  /** Those that may go, after those before them. */
  #leave(chosen: readonly StoredNar[]): StoredNar[] {
    const departing = new Departing(this.#index);
    return chosen.filter((nar) => {
      if (!this.isFree(nar) || departing.isNeeded(nar)) return false;
      departing.add(nar);
      return true;
    });
  }

  async #takeOut(
    nars: readonly StoredNar[],
    away: (path: string, name: string) => Promise<void>,
  ): Promise<void> {
    const narinfosThenNars = async () => {
      const paths = nars.flatMap((nar) => nar.paths);
      // One after the other, so that a process that is killed here leaves none without what it refers to.
      for (const path of paths) await away(this.#layout.narinfo(path), narinfoName(path));
      await all(paths.map((path) => removeIfThere(this.#files, this.#layout.listing(path))));
      await this.#sync.directory(this.#layout.dir);
      await all(nars.map((nar) => away(this.#layout.nar(nar.file), nar.file)));
    };
    const putBack = nars.map((nar) => this.#drop(nar));
    const removal = narinfosThenNars();
    this.#holds.leave(
      nars.flatMap((nar) => [nar.file, ...nar.paths]),
      removal,
    );
    try {
      await removal;
    } catch (error) {
      for (const undo of putBack) undo();
      throw error;
    }
  }

  /** Drops the NAR from the index. The result undoes that: some of it may be gone all the same, as whoever looks for it will see. */
  #drop(nar: StoredNar): () => void {
    const paths = nar.paths.map((path) => [path, this.#index.relationsOf(path)] as const);
    this.#index.drop(nar.file);
    return () => {
      this.#index.put(nar);
      for (const [path, relations] of paths) this.#index.put(nar, path, relations);
    };
  }
}

/** Like Promise.all, but nothing is under way any more when it rejects. */
async function all(promises: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises))
    if (result.status === 'rejected') throw result.reason;
}
