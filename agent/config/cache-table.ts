import type * as v from 'valibot';
import { key } from './key.ts';
import { absolutePath, duration, oneOf, size } from './values.ts';

/** Table [cache]: the cache directory. */
export interface CacheConfig {
  /** Absolute path. */
  readonly dir: string;
  /** Bytes; 0 is no limit. */
  readonly maxSize: number;
  /** Ms since last use; 0 is no limit. */
  readonly maxAge: number;
  /** Bytes that stay free on the file system. */
  readonly minFree: number;
  /** `keep` stores NARs as they came, `zstd` compresses anew what came otherwise. */
  readonly compression: 'keep' | 'zstd';
}

const tenYears = 3_650 * 86_400_000;
const oneKibiTebibyte = 2 ** 50;

export const cacheKeys = {
  dir: key(
    absolutePath(),
    '/var/cache/narrowcast',
    'Where fetched NARs are kept, as a Nix binary cache; not root: `$XDG_CACHE_HOME/narrowcast` or `~/.cache/narrowcast`',
  ),
  'max-size': key(
    size(oneKibiTebibyte),
    '20GiB',
    'What was not used for longest goes when the cache grows beyond this; `"0"`: no limit',
  ),
  'max-age': key(
    duration(0, tenYears),
    '0',
    'What was not used for this long goes, e.g. `"14d"`; `"0"`: no limit',
  ),
  'min-free': key(size(oneKibiTebibyte), '1GiB', 'Free space that the cache leaves on its file system'),
  compression: key(
    oneOf(['keep', 'zstd']),
    'keep',
    'How NARs are stored: `"keep"` as they came, or `"zstd"`',
  ),
};

/** The table's values under the names that the code uses. */
export function cacheConfig(table: v.InferOutput<v.ObjectSchema<typeof cacheKeys, undefined>>): CacheConfig {
  return {
    dir: table.dir,
    maxSize: table['max-size'],
    maxAge: table['max-age'],
    minFree: table['min-free'],
    compression: table.compression,
  };
}
