import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Finding, ok, skipped, warning } from './finding.ts';

/** Names of Nix's memory of narinfos (2.8 to 2.34, src/libstore/nar-info-disk-cache.cc). */
const files = ['binary-cache-v7.sqlite', 'binary-cache-v6.sqlite'];

/**
 * Whether Nix still remembers that paths were nowhere, so that it does not ask for them.
 * @param dirs directories where Nix keeps its memory of narinfos
 * @param isRelay whether the URL of a cache is the relay's
 * @param ttl Nix's narinfo-cache-negative-ttl in seconds
 * @param now seconds since the epoch
 */
export function checkRememberedAbsence(
  dirs: readonly string[],
  isRelay: (url: string) => boolean,
  ttl: number,
  now: number,
): Finding {
  const found = dirs.flatMap((dir) => files.map((file) => join(dir, file))).filter(existsSync);
  if (found.length === 0) return skipped('Nix remembers nothing that we may read.');
  const counts = found.flatMap((file) => absences(file, isRelay, now - ttl) ?? []);
  if (counts.length === 0) return skipped(`What Nix remembers is not to be read: ${found.join(', ')}.`);
  const total = counts.reduce((sum, count) => sum + count, 0);
  // The agent itself says 'not here' of much that is nowhere, and Nix may remember that for a little while.
  if (total === 0 || ttl <= 60) return ok('Nix holds on to no old "not here".');
  return warning(
    `Nix remembers of ${total === 1 ? 'a path' : `${total} paths`} that narrowcast did not have it, and does not ask.`,
    {
      cure: ['add to the command: --option narinfo-cache-negative-ttl 0', `or run: rm ${found.join(' ')}`],
    },
  );
}

/** How many absences are newer than `since`; undefined when the file cannot be read. */
function absences(file: string, isRelay: (url: string) => boolean, since: number): number | undefined {
  try {
    using database = new DatabaseSync(file, { readOnly: true, timeout: 1_000 });
    const caches = database.prepare('SELECT id, url FROM BinaryCaches').all();
    const count = database.prepare(
      'SELECT count(*) AS n FROM NARs WHERE cache = ? AND present = 0 AND timestamp > ?',
    );
    return caches
      .filter(({ url }) => typeof url === 'string' && isRelay(url))
      .reduce((sum, { id }) => sum + Number(count.get(id ?? null, since)?.['n'] ?? 0), 0);
  } catch {
    return undefined;
  }
}
