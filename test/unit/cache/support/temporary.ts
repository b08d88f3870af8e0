import { existsSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import {
  DiskCache,
  type DiskCacheConfig,
  type DiskCacheOptions,
} from '../../../../agent/cache/disk-cache.ts';
import { storeDir } from './sample.ts';

/** In memory, where there is a place for it: for tests that would spend their time waiting for a disk to sync. */
export const fastDirectory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A new directory, removed after the test. */
export async function temporaryDirectory(parent: string = tmpdir()): Promise<string> {
  const path = await realpath(await mkdtemp(join(parent, 'narrowcast-cache-')));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A cache without limits, closed after the test. */
export async function openCache(
  config: Partial<DiskCacheConfig> & { readonly dir: string },
  options: DiskCacheOptions = {},
): Promise<DiskCache> {
  const cache = await DiskCache.open({ storeDir, maxSize: 0, maxAge: 0, minFree: 0, ...config }, options);
  onTestFinished(() => cache.close());
  return cache;
}
