import { NarrowcastError } from '../nix/error.ts';

/**
 * What the cache directory could not do. Codes: `cache-locked` (another process has the directory), `cache-wrong-store`
 * (it is for another store directory), `cache-full` (its limits leave no room), `cache-read` (a stored file could not be
 * read to its end), `bad-pin`, `bad-root`.
 */
export class CacheError extends NarrowcastError {}

/** Nothing more may be evicted, and there is still no room. */
export function cacheFull(): CacheError {
  return new CacheError(
    'cache-full',
    'The cache directory has no room left within its limits: free disk space, raise cache.max-size, lower cache.min-free, or remove pins.',
  );
}

/** The system's name of an error (`ENOSPC`, `ENOENT` …); undefined for errors that are not the system's. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Whether the error says that there is no such file. */
export function isAbsent(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}
