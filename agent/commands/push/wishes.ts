import { join } from 'node:path';
import { cacheHome } from '../../config/cache-home.ts';
import { parseSize } from '../../config/units.ts';
import { levels, type Packing, packings } from '../../push/packing.ts';
import { UsageError } from '../usage-error.ts';

/** The options of `push` and `push-daemon`, as they were typed. */
export interface PushWishes {
  readonly compression?: string;
  readonly level?: string;
  readonly jobs?: string;
  readonly maxRate?: string;
  readonly keyFile?: string;
  readonly netrcFile?: string;
  readonly spoolDir?: string;
}

const usualJobs = 4;
const maxJobs = 32;

/**
 * How NARs are to be packed.
 * @throws UsageError for an unknown compression, or a level that it does not have
 */
export function packingOf({ compression = 'zstd', level }: PushWishes): Packing {
  const known = packings.find((name) => name === compression);
  if (known === undefined)
    throw new UsageError(`--compression is one of ${packings.join(', ')}, not '${compression}'.`);
  const { min, max, usual } = levels[known];
  if (level === undefined) return { compression: known, level: usual };
  if (known === 'none') throw new UsageError('--level has no meaning with --compression none.');
  return { compression: known, level: wholeNumber('--level', level, min, max) };
}

/**
 * How many NARs are sent at once.
 * @throws UsageError
 */
export function jobsOf({ jobs }: PushWishes): number {
  return jobs === undefined ? usualJobs : wholeNumber('--jobs', jobs, 1, maxJobs);
}

/**
 * Bytes a second; 0 is no limit.
 * @throws UsageError
 */
export function rateOf({ maxRate = '0' }: PushWishes): number {
  const rate = /^\d{1,15}$/.test(maxRate) ? Number(maxRate) : parseSize(maxRate);
  if (rate === undefined)
    throw new UsageError(`--max-rate is bytes a second, such as 500KiB or 2MiB, not '${maxRate}'.`);
  return rate;
}

/** Where packed NARs wait: not within a cache directory, which others may read. */
export function spoolOf({ spoolDir }: PushWishes): string {
  return spoolDir ?? join(cacheHome(process.env), 'narrowcast-push');
}

/**
 * Where to push to; its path ends in `/`.
 * @throws UsageError for anything but an http or https URL without user, password and parameters
 */
export function destination(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new UsageError("--to is an http or https URL, such as 'http://pi:6271'.");
  if (url.username !== '' || url.password !== '')
    throw new UsageError('--to is a URL without user and password: they belong into a netrc file.');
  if (url.search !== '' || url.hash !== '')
    throw new UsageError('--to is a URL without parameters: --compression and --key-file are options here.');
  url.pathname = url.pathname.replace(/\/*$/, '/');
  return url;
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : -1;
  if (number >= min && number <= max) return number;
  throw new UsageError(`${option} is a whole number from ${min} to ${max}, not '${text}'.`);
}
