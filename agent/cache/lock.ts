import { DatabaseSync } from 'node:sqlite';
import { CacheError } from './error.ts';

/**
 * Makes this process the only one that writes to the directory; the result gives it up.
 *
 * Node has no flock of its own, but SQLite locks its (empty, never written) file by fcntl, on Linux and macOS alike: the kernel
 * drops that lock with the process, whichever way it dies, and taking it is a single step. A socket would do worse: a bound one
 * stays behind after kill -9 and cannot be replaced without a race, an abstract one is Linux's alone and not seen from other
 * network namespaces. The process must not open `path` otherwise: closing a second descriptor would drop the lock.
 *
 * @throws CacheError `cache-locked` when another process has it, and SQLite's error when the file cannot be made
 */
export function takeLock(path: string, directory: string): () => void {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    if (!isBusy(cause)) throw cause;
    throw new CacheError(
      'cache-locked',
      `The cache directory ${directory} is in use by another narrowcast: stop that one, or set cache.dir to another directory.`,
    );
  }
  return () => database.close();
}

const sqliteBusy = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy;
}
