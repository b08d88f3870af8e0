const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const counts = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const day = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });

/** Bytes for people, in three digits: `0 B`, `1.5 KiB`, `34 MiB`. @param {number} bytes */
export function readableBytes(bytes) {
  let amount = bytes;
  let unit = 0;
  for (; amount >= 999.5 && unit < units.length - 1; unit += 1) amount /= 1024;
  return `${amount.toFixed(unit === 0 || amount >= 9.95 ? 0 : 1)} ${units[unit]}`;
}

/** How much of a whole has come, in the whole's unit: `12.3 of 60.0 MiB`. @param {number} part @param {number} whole */
export function readablePart(part, whole) {
  let [a, b, unit] = [part, whole, 0];
  for (; b >= 999.5 && unit < units.length - 1; unit += 1) [a, b] = [a / 1024, b / 1024];
  const digits = unit === 0 ? 0 : 1;
  return `${a.toFixed(digits)} of ${b.toFixed(digits)} ${units[unit]}`;
}

/** A count: `12,345`. @param {number} count */
export function readableCount(count) {
  return counts.format(count);
}

/** A part of a whole in percent, never rounded to all or to nothing when it is not; a dash when there is no whole. @param {number} part @param {number} whole */
export function readableShare(part, whole) {
  if (whole <= 0) return '–';
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 1) return '< 1 %';
  if (percent > 99 && percent < 100) return '> 99 %';
  return `${Math.round(percent)} %`;
}

/** A length of time in its two largest units: `7 s`, `3 min 5 s`, `2 h 3 min`, `4 d 1 h`. @param {number} ms */
export function readableTime(ms) {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return two(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86_400) return two(Math.floor(s / 3_600), 'h', Math.floor(s / 60) % 60, 'min');
  return two(Math.floor(s / 86_400), 'd', Math.floor(s / 3_600) % 24, 'h');
}

/** A latency: `0.4 ms`, `12 ms`, `1.2 s`. @param {number | null} ms */
export function readableLatency(ms) {
  if (ms === null) return '–';
  if (ms >= 999.5) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 9.95 ? 1 : 0)} ms`;
}

/** A time of day: `14:03:07`. @param {string | number} time */
export function timeOfDay(time) {
  return clock.format(new Date(time));
}

/** A time of day: `14:03`. @param {number} time */
export function hourAndMinute(time) {
  return clock.format(time).slice(0, 5);
}

/** A date: `Nov 21`. @param {string | number} time */
export function dayOfYear(time) {
  return day.format(new Date(time));
}

/** @param {number} a @param {string} unitA @param {number} b @param {string} unitB */
function two(a, unitA, b, unitB) {
  return b === 0 ? `${a} ${unitA}` : `${a} ${unitA} ${b} ${unitB}`;
}
