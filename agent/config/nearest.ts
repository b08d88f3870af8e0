/**
 * The key that was most likely meant, or undefined when none is near: a third of its letters may be wrong.
 * Only the last parts are compared (`max-size` means `cache.max-size`); case, `-` and `_` do not count.
 */
export function nearest(word: string, keys: Iterable<string>): string | undefined {
  const wanted = lastPart(word);
  let best: { key: string; distance: number } | undefined;
  for (const key of keys) {
    const name = lastPart(key);
    const limit = Math.max(1, Math.floor(name.length / 3));
    const distance = Math.abs(name.length - wanted.length) > limit ? Infinity : editDistance(wanted, name);
    if (distance <= limit && distance < (best?.distance ?? Infinity)) best = { key, distance };
  }
  return best?.key;
}

function lastPart(key: string): string {
  return key.toLowerCase().replace(/^.*\.|[-_]/gs, '');
}

/** Letters to insert, remove or replace to make one word of the other (Levenshtein), row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
