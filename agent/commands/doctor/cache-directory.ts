import { access, constants, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CacheConfig } from '../../config/cache-table.ts';
import type { Stats } from '../../http/stats-schema.ts';
import { readableBytes } from '../terminal/amounts.ts';
import { type Finding, fault, ok, skipped, warning } from './finding.ts';

/**
 * Whether the cache directory can be written to, and has room. The agent that runs knows best; without one it is looked at from here.
 * @param disk what that agent says
 */
export async function checkCacheDirectory(
  { dir, maxSize, minFree }: Pick<CacheConfig, 'dir' | 'maxSize' | 'minFree'>,
  disk: Stats['cache']['disk'] | undefined,
): Promise<Finding> {
  const trouble = disk === undefined ? await troubleAt(dir) : troubleOf(disk, dir);
  if (trouble !== undefined) return trouble;
  const space = await spaceAt(dir);
  if (space === undefined) return ok(`${dir} can be written to.`);
  const [free, size] = [readableBytes(space.free), readableBytes(space.total)];
  const more = { cure: [`free space on the disk of ${dir}`, 'or set a smaller cache.min-free'] };
  if (space.free <= minFree)
    return fault(`${dir} has ${free} free; cache.min-free leaves that alone: nothing more is kept.`, more);
  if (maxSize + minFree > space.total)
    return warning(`cache.max-size is ${readableBytes(maxSize)}, but the disk of ${dir} has only ${size}.`, {
      cure: 'set a smaller cache.max-size',
      nixos: 'services.narrowcast.settings.cache.max-size',
    });
  return ok(`${dir} can be written to and has ${free} free.`);
}

function troubleOf({ condition, message }: Stats['cache']['disk'], dir: string): Finding | undefined {
  if (condition === 'ok') return undefined;
  const facts: Record<typeof condition, string> = {
    full: `The disk of ${dir} is full: nothing is kept.`,
    'read-only': `${dir} is read-only: nothing is kept.`,
    locked: `${dir} is in use by another narrowcast: nothing is kept.`,
    failing: `The disk of ${dir} fails: nothing is kept.`,
  };
  return fault(`${facts[condition]}${message === undefined ? '' : ` ${message}`}`, {
    cure: `see: df ${dir} and ls -ld ${dir}`,
  });
}

async function troubleAt(dir: string): Promise<Finding | undefined> {
  try {
    await access(dir, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return await troubleMaking(dir);
    if (code === 'EACCES' && process.getuid?.() !== 0)
      return skipped(`${dir} is not for you to look into; no agent runs that could be asked.`, {
        cure: 'run: sudo narrowcast doctor',
      });
    return fault(`${dir} cannot be written to: ${String(code)}.`, {
      cure: [`see: ls -ld ${dir} and findmnt -T ${dir}`, 'or set another cache.dir'],
    });
  }
}

/** A directory that is not there yet is made by the agent, if that can be done. */
async function troubleMaking(dir: string): Promise<Finding | undefined> {
  for (let parent = dirname(dir); ; parent = dirname(parent)) {
    try {
      await access(parent, constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (absent && parent !== '/') continue;
      return fault(`${dir} is not there and cannot be made: ${parent} is not to be written to.`, {
        cure: [`run: mkdir -p ${dir}`, 'or set another cache.dir'],
      });
    }
  }
}

/** Bytes of the file system; undefined where it does not tell. */
async function spaceAt(dir: string): Promise<{ free: number; total: number } | undefined> {
  for (let place = dir; ; place = dirname(place)) {
    try {
      const { bavail, blocks, bsize } = await statfs(place);
      return { free: bavail * bsize, total: blocks * bsize };
    } catch {
      if (place === '/') return undefined;
    }
  }
}
