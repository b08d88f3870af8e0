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
  const isEnough = (nar: StoredNar) =>
    victims.length === mostAtOnce || (freed >= bytes && nar.lastUse >= olderThan);
  // The index may change between two turns. What was changed is not removed in the end.
  await inTurns(index.leastRecent(), (next) => {
    if (isEnough(next)) return 'enough';
    const queue = [next];
    for (let nar = queue.pop(); nar !== undefined && !isEnough(nar); nar = queue.pop()) {
      if (departing.has(nar) || departing.isNeeded(nar) || spare(nar)) continue;
      victims.push(nar);
      freed += spaceOf(nar);
      // Those that were passed over because this one needed them are older, and have their turn now.
      queue.push(...departing.add(nar).filter((free) => free.lastUse <= next.lastUse));
    }
    return undefined;
  });
  return victims;
}
