import type { NarIndex, StoredNar } from './nar-index.ts';
import { spaceOf } from './nar-index.ts';

/** Enough for one go: choosing them and removing them keeps the event loop free. */
const mostAtOnce = 10_000;

/**
 * The least recently used NARs whose removal frees `bytes` of disk space, and all that were last used before `olderThan` (ms since
 * the epoch); `spare` says which must stay. At most 10,000 at once.
 */
export function chooseVictims(
  index: NarIndex,
  bytes: number,
  olderThan: number,
  spare: (nar: StoredNar) => boolean,
): StoredNar[] {
  const victims: StoredNar[] = [];
  let freed = 0;
  for (const nar of index.leastRecent()) {
    if (victims.length === mostAtOnce || (freed >= bytes && nar.lastUse >= olderThan)) break;
    if (spare(nar)) continue;
    victims.push(nar);
    freed += spaceOf(nar);
  }
  return victims;
}
