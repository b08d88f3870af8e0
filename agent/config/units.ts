const durationUnits = { d: 86_400_000, h: 3_600_000, min: 60_000, s: 1_000, ms: 1 };
const sizeUnits = { TiB: 2 ** 40, GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10, B: 1 };

/** A duration such as `150ms`, `5s`, `2min`, `1h`, `14d` or `0`, in milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  return parse(text, durationUnits);
}

/** Milliseconds in the largest unit that expresses them exactly: what `parseDuration` reads. */
export function printDuration(ms: number): string {
  return print(ms, durationUnits);
}

/** A size such as `20GiB`, `512MiB`, `1KiB`, `100B` or `0`, in bytes; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  return parse(text, sizeUnits);
}

/** Bytes in the largest unit that expresses them exactly: what `parseSize` reads. */
export function printSize(bytes: number): string {
  return print(bytes, sizeUnits);
}

type Units = Readonly<Record<string, number>>;

function parse(text: string, units: Units): number | undefined {
  if (text === '0') return 0;
  const [, digits, name] = /^(0|[1-9]\d{0,15})([a-zA-Z]{1,3})$/.exec(text) ?? [];
  if (name === undefined || !Object.hasOwn(units, name)) return undefined;
  const value = Number(digits) * (units[name] ?? Number.NaN);
  return Number.isSafeInteger(value) ? value : undefined;
}

function print(value: number, units: Units): string {
  if (value === 0) return '0';
  const [name, worth] = Object.entries(units).find(([, worth]) => value % worth === 0) ?? ['', 1];
  return `${value / worth}${name}`;
}
