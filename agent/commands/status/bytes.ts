import type { Stats } from '../../http/stats-schema.ts';
import { readableBytes } from '../terminal/amounts.ts';
import { bar } from '../terminal/display.ts';
import type { Line } from '../terminal/lines.ts';
import { today } from './today.ts';

type Day = Stats['history'][number];
type Counts = Pick<Day, 'narinfo' | 'nar' | 'bytes'>;
/** A span of time, and what was counted in it. */
type Span = readonly [heading: string, counts: Counts];

const label = 10;
const barWidth = 10;
const cell = barWidth + 2 + 10;

/** Where bytes came from, what they saved and how many requests were hits: today, since the start, and in total. */
export function bytesLines(stats: Stats, now: Date, columns: number): Line[] {
  const spans: Span[] = [
    ['today', today(stats, now)],
    ['since start', stats.sinceStart],
    [`since ${stats.totalsSince.slice(0, 10)}`, stats.totals],
  ];
  if (columns >= label + 3 * (cell + 1)) return sideBySide(spans);
  return spans.flatMap((span, n) => [...(n === 0 ? [] : [[]]), ...sideBySide([span])]);
}

function sideBySide(spans: readonly Span[]): Line[] {
  const row = (name: string, of: (counts: Counts) => string): Line => [
    name.padEnd(label),
    spans.map(([, counts]) => of(counts).padEnd(cell)).join(' '),
  ];
  const origin = (name: string, of: (bytes: Counts['bytes']) => number): Line =>
    row(name, ({ bytes }) => share(of(bytes), bytes.fromLan + bytes.fromDisk + bytes.fromUpstream));
  return [
    [['strong', 'bytes'.padEnd(label) + spans.map(([heading]) => heading.padEnd(cell)).join(' ')]],
    origin('LAN', ({ fromLan }) => fromLan),
    origin('disk', ({ fromDisk }) => fromDisk),
    origin('upstream', ({ fromUpstream }) => fromUpstream),
    row('saved', ({ bytes }) => readableBytes(bytes.savedUpstream)),
    ...(spans.some(([, { bytes }]) => bytes.wasted > 0)
      ? [row('wasted', ({ bytes }) => readableBytes(bytes.wasted))]
      : []),
    row('served', ({ bytes }) => readableBytes(bytes.served)),
    row('hits', hits),
  ];
}

function share(bytes: number, all: number): string {
  return `${bar(bytes, all, barWidth)}${readableBytes(bytes).padStart(9)}`;
}

/** Of the requests that were answered, those that needed no upstream. */
function hits({ narinfo, nar }: Counts): string {
  const percent = (counts: { readonly hits: number; readonly misses: number }) => {
    const answered = counts.hits + counts.misses;
    return answered === 0 ? '-' : `${Math.floor((100 * counts.hits) / answered)} %`;
  };
  return `NARs ${percent(nar)}, paths ${percent(narinfo)}`;
}
