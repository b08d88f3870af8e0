import type { Stats } from '../../http/stats-schema.ts';
import type { Refusal } from '../../telemetry/counters.ts';
import { counted, readableBytes } from '../terminal/amounts.ts';
import type { Line } from '../terminal/lines.ts';
import { wrap } from '../terminal/wrap.ts';
import { today } from './today.ts';

const reasons: readonly (readonly [Refusal, string])[] = [
  ['unauthorized', 'without a known token'],
  ['untrusted', 'not signed by a trusted key'],
  ['invalid', 'wrong or out of order'],
  ['noRoom', 'for which there was no room'],
  ['cut', 'cut off'],
];

const indent = 10;

/** What uploaders sent today, and what of it was not taken; nothing where nobody ever sent anything. */
export function uploadsLines(
  stats: Pick<Stats, 'history' | 'totals' | 'totalsSince'>,
  now: Date,
  columns: number,
): Line[] {
  const { totals, totalsSince } = stats;
  if (Object.values(totals.uploads).every((count) => count === 0)) return [];
  const { paths, bytes, ...refused } = today(stats, now).uploads;
  const before = `, ${counted(totals.uploads.paths, 'path')} since ${totalsSince.slice(0, indent)}`;
  const taken = paths === 0 ? 'none today' : `${counted(paths, 'path')} today, ${readableBytes(bytes)}`;
  const why = reasons.flatMap(([reason, words]) =>
    refused[reason] > 0 ? [`${refused[reason]} ${words}`] : [],
  );
  const not = why.length === 0 ? [] : wrap(`not taken: ${why.join(', ')}`, Math.max(20, columns - indent));
  return [
    [['strong', 'uploads'.padEnd(indent)], taken, ...(columns < 60 ? [] : [['faint', before] as const])],
    ...not.map((line): Line => [' '.repeat(indent), ['doubtful', line]]),
  ];
}
