import { Departing } from './departing.ts';
import { inTurns } from './in-turns.ts';
import type { NarIndex, StoredNar } from './nar-index.ts';
import { spaceOf } from './nar-index.ts';

/** Enough for one go: choosing them and removing them keeps the event loop free. */
const mostAtOnce = 10_000;

/**
 * The least recently used NARs whose removal frees `bytes` of disk space, and all that were last used before `olderThan` (ms since
 * the epoch), those that refer to others before these. What a path that stays refers to stays; `spare` says which others must.
 * At most 10,000 at once.
 */
export async function chooseVictims(
  index: NarIndex,
  bytes: number,
  olderThan: number,
  spare: (nar: StoredNar) => boolean,
): Promise<StoredNar[]> {
  const victims: StoredNar[] = [];
  const departing = new Departing(index);
  let freed = 0;
  // The index may change between two turns. What was changed is not removed in the end.
  const candidates = new Candidates(index);
  await inTurns(candidates, (nar) => {
    if (victims.length === mostAtOnce || (freed >= bytes && nar.lastUse >= olderThan)) return 'enough';
    if (departing.has(nar) || departing.isNeeded(nar) || spare(nar)) return undefined;
    victims.push(nar);
    freed += spaceOf(nar);
    candidates.reconsider(departing.add(nar));
    return undefined;
  });
  return victims;
}

/** The least recently used first; before the next of them come those that were passed over and are to be considered again. */
class Candidates {
  readonly #index: NarIndex;
  readonly #again: StoredNar[] = [];
  #passed = Number.NEGATIVE_INFINITY;

  constructor(index: NarIndex) {
    this.#index = index;
  }

  *[Symbol.iterator](): Generator<StoredNar> {
    for (const next of this.#index.leastRecent()) {
      this.#passed = next.lastUse;
      yield next;
      for (let nar = this.#again.pop(); nar !== undefined; nar = this.#again.pop()) yield nar;
    }
  }

  /** Those of them whose turn is over have another. */
  reconsider(nars: readonly StoredNar[]): void {
    this.#again.push(...nars.filter(({ lastUse }) => lastUse <= this.#passed));
  }
}
