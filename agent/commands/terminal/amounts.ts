const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes for people: `0 B`, `999 B`, `1.5 KiB`, `34 MiB`. */
export function readableBytes(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  for (; amount >= 999.5 && unit < units.length - 1; unit += 1) amount /= 1024;
  const digits = unit === 0 || amount >= 9.95 ? 0 : 1;
  return `${amount.toFixed(digits)} ${units[unit]}`;
}

/** Milliseconds for people, rounded up to seconds: `0:07`, `12:34`, `1:02:03`. */
export function readableTime(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  const [s, m, h] = [seconds % 60, Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600)];
  return h === 0 ? `${m}:${twoDigits(s)}` : `${h}:${twoDigits(m)}:${twoDigits(s)}`;
}

/** A count with its noun: `1 path`, `2 paths`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
