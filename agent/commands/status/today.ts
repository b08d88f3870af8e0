import type { Stats } from '../../http/stats-schema.ts';
import { emptyCounts } from '../../telemetry/counts.ts';

type Counts = Omit<Stats['history'][number], 'day'>;

/** What was counted today, by this machine's time zone. */
export function today({ history }: Pick<Stats, 'history'>, now: Date): Counts {
  const two = (part: number) => String(part).padStart(2, '0');
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  return history.find((one) => one.day === day) ?? emptyCounts();
}
