/** @import { Counts, Day } from '../telemetry/counts-schema.ts' */
/** @import { Known } from './state.js' */

/** What of the counters today's figures are made of. @typedef {Pick<Counts, 'bytes' | 'narinfo' | 'nar' | 'uploads'>} Total */

/**
 * The day's date in this machine's time zone, as in `2026-11-21`.
 * @param {number} now
 */
export function dayOf(now) {
  const date = new Date(now);
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/**
 * What was counted today: what the agent said of it at first, and what the totals have grown by since.
 * @param {Known} known
 * @param {number} now
 */
export function today({ stats, first }, now) {
  if (stats === undefined || first === undefined) return undefined;
  const day = first.history.find(({ day }) => day === dayOf(now));
  return {
    bytes: grown(day?.bytes, stats.totals.bytes, first.totals.bytes),
    narinfo: grown(day?.narinfo, hits(stats.totals.narinfo), hits(first.totals.narinfo)),
    nar: grown(day?.nar, hits(stats.totals.nar), hits(first.totals.nar)),
    uploads: grown(day?.uploads, stats.totals.uploads, first.totals.uploads),
  };
}

/**
 * The days with today's figures as they are now.
 * @param {Known} known
 * @param {number} now
 * @returns {readonly Pick<Day, 'day' | 'bytes'>[]}
 */
export function daysUpTo(known, now) {
  const counted = today(known, now);
  if (counted === undefined) return [];
  const before = known.first?.history.filter(({ day }) => day !== dayOf(now)) ?? [];
  return [...before, { day: dayOf(now), bytes: counted.bytes }];
}

/**
 * What uploaders sent today; undefined where nobody ever sent anything.
 * @param {Known} known
 * @param {number} now
 */
export function uploadsToday(known, now) {
  const ever = Object.values(known.stats?.totals.uploads ?? {}).some((count) => count > 0);
  return ever ? today(known, now)?.uploads : undefined;
}

/** @param {{ requests: number, hits: number, misses: number }} counted */
function hits({ requests, hits, misses }) {
  return { requests, hits, misses };
}

/**
 * @template {Record<string, number>} T
 * @param {Partial<T> | undefined} start
 * @param {T} now
 * @param {T} then
 * @returns {T}
 */
function grown(start, now, then) {
  const sum = { ...now };
  for (const key of /** @type {(keyof T & string)[]} */ (Object.keys(now))) {
    sum[key] = /** @type {T[typeof key]} */ ((start?.[key] ?? 0) + (now[key] ?? 0) - (then[key] ?? 0));
  }
  return sum;
}
