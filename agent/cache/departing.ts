import type { HashPart } from '../nix/store-path.ts';
import type { NarFile } from './layout.ts';
import type { NarIndex, StoredNar } from './nar-index.ts';

/** NARs that are to go: who needs which others once they have gone. */
export class Departing {
  readonly #index: NarIndex;
  readonly #nars = new Set<NarFile>();
  /** How many of the paths that refer to a path go. */
  readonly #lost = new Map<HashPart, number>();

  constructor(index: NarIndex) {
    this.#index = index;
  }

  has(nar: StoredNar): boolean {
    return this.#nars.has(nar.file);
  }

  /** Whether a path that stays refers to one of the NAR's. */
  isNeeded(nar: StoredNar): boolean {
    const lost = nar.paths.reduce((sum, path) => sum + (this.#lost.get(path) ?? 0), 0);
    return this.#index.referrersOf(nar) > lost;
  }

  /** This one goes. Resolves to the NARs that nobody needs any more now. */
  add(nar: StoredNar): StoredNar[] {
    this.#nars.add(nar.file);
    const free = new Map<NarFile, StoredNar>();
    for (const path of nar.paths) {
      for (const reference of this.#index.referencesOf(path) ?? []) {
        if (nar.paths.includes(reference)) continue;
        this.#lost.set(reference, (this.#lost.get(reference) ?? 0) + 1);
        const file = this.#index.fileOf(reference);
        const other = file === undefined ? undefined : this.#index.nar(file);
        if (other !== undefined && !this.isNeeded(other)) free.set(other.file, other);
      }
    }
    return [...free.values()];
  }
}
