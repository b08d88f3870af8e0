import { access } from 'node:fs/promises';
import { CacheError } from '../cache/error.ts';
import { Layout } from '../cache/layout.ts';
import { takeLock } from '../cache/lock.ts';
import { type ScrubProgress, type ScrubReport, scrub as scrubCache } from '../cache/scrub.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import { NarrowcastError } from '../nix/error.ts';
import { systemClock } from '../telemetry/clock.ts';
import { counted, readableBytes, readableTime } from './terminal/amounts.ts';
import { bar, Display, endNeatly } from './terminal/display.ts';
import { Pace } from './terminal/pace.ts';

/** What `scrub` was asked for. */
export interface ScrubOptions {
  /** Set aside what is wrong and remove what is of no use, instead of only telling. */
  readonly repair?: boolean;
  /** The report as JSON, see cache/scrub.ts. */
  readonly json?: boolean;
}

/**
 * Verifies every entry of the cache directory and tells what is wrong. An agent may use the directory meanwhile, unless it is to be
 * repaired.
 * @throws NarrowcastError `scrub-faults` when anything is wrong, also when it was repaired; `no-cache` when there is no such
 *   directory; `scrub-locked` when a repair finds the directory in use
 */
export async function scrub(
  { repair = false, json = false }: ScrubOptions,
  sources: ConfigSources,
): Promise<void> {
  const { cache, storeDir, trustedPublicKeys: keys } = await loadConfig(sources);
  await mustExist(cache.dir);
  const unlock = repair ? lock(cache.dir) : () => {};
  try {
    const report = await check((progress) =>
      scrubCache({ dir: cache.dir, storeDir, keys, repair, progress }),
    );
    conclude(report, repair, json);
  } finally {
    unlock();
  }
}

async function mustExist(dir: string): Promise<void> {
  try {
    await access(dir);
  } catch (cause) {
    throw new NarrowcastError('no-cache', `The cache directory ${dir} is not there or not for us to read.`, {
      cause,
    });
  }
}

function lock(dir: string): () => void {
  try {
    return takeLock(new Layout(dir).lock, dir);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    const advice = 'stop it, or scrub without --repair to see what is wrong.';
    throw new NarrowcastError(
      'scrub-locked',
      `A running narrowcast uses the cache directory ${dir}: ${advice}`,
    );
  }
}

/** Scrubs with a changing line that tells how far it is. */
async function check(
  run: (progress: (now: ScrubProgress) => void) => Promise<ScrubReport>,
): Promise<ScrubReport> {
  const entries = new Pace(systemClock);
  const bytes = new Pace(systemClock);
  let now: ScrubProgress = { checked: 0, total: 0, bytes: 0 };
  const display = new Display(() => {
    const left = entries.timeFor(now.total - now.checked);
    const parts = [
      `${now.checked}/${now.total} entries`,
      `${readableBytes(now.bytes)} read`,
      ...(left === undefined ? [] : [`${readableBytes(bytes.perSecond)}/s`, `${readableTime(left)} left`]),
    ];
    return `${bar(now.checked, now.total)} ${parts.join(', ')}`;
  });
  endNeatly(display);
  display.start();
  try {
    return await run((next) => {
      entries.add(next.checked - now.checked);
      bytes.add(next.bytes - now.bytes);
      now = next;
    });
  } finally {
    display.end();
  }
}

function conclude(report: ScrubReport, repaired: boolean, json: boolean): void {
  const { wrong, withoutNar, withoutNarinfo, unreadable } = report;
  const faults = wrong.length + withoutNar.length + withoutNarinfo.length + unreadable.length;
  if (json) print(JSON.stringify(report, undefined, 2));
  else tell(report, repaired, faults);
  if (faults === 0) return;
  const advice = repaired
    ? 'what could be done was done'
    : "'narrowcast scrub --repair' sets aside and removes";
  throw new NarrowcastError(
    'scrub-faults',
    `The cache has ${counted(faults, 'fault')}, see above: ${advice}.`,
  );
}

function tell(report: ScrubReport, repaired: boolean, faults: number): void {
  const { wrong, withoutNar, withoutNarinfo, unreadable, untrusted, undecodable } = report;
  const done = (what: string) => (repaired ? `, ${what}` : '');
  for (const { file, reason } of wrong) print(`wrong${done('set aside')}: ${file}: ${reason}`);
  for (const file of withoutNar) print(`without its NAR${done('removed')}: ${file}`);
  for (const file of withoutNarinfo) print(`named by no narinfo${done('removed')}: ${file}`);
  for (const { file, reason } of unreadable) print(`unreadable: ${file}: ${reason}`);
  for (const file of untrusted) print(`signed by no trusted key, so not served: ${file}`);
  for (const file of undecodable) print(`verified by its FileHash only: ${file}`);
  const read = `${counted(report.checked, 'narinfo')} and ${readableBytes(report.bytes)} of NARs verified`;
  print(`${read}: ${faults === 0 ? 'nothing is wrong' : counted(faults, 'fault')}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
