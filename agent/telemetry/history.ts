import type { Counters } from './counters.ts';
import { emptyCounts, plus } from './counts.ts';
import type { Counts, Day } from './counts-schema.ts';

const keptDays = 90;

/** What was counted on each day, by the machine's time zone. */
export class History {
  readonly #counters: Counters;
  readonly #wall: () => number;
  readonly #past = new Map<string, Day>();
  #today: string;
  /** The counts when today began. */
  #mark: Counts = emptyCounts();

  constructor(counters: Counters, wall: () => number) {
    this.#counters = counters;
    this.#wall = wall;
    this.#today = dayOf(wall());
  }

  /** The last 90 days on which something was counted, oldest first. It sees a day pass when it is asked: once a day at least. */
  get days(): Day[] {
    this.#closeToday();
    const today = this.#soFar();
    const days = [...this.#past.values()].filter(({ day }) => day !== this.#today);
    if (isBusy(today)) days.push(today);
    return days.sort((a, b) => (a.day < b.day ? -1 : 1)).slice(-keptDays);
  }

  /** Takes up what was counted on days before this start, which may include today. */
  add(days: readonly Day[]): void {
    for (const day of days) {
      const there = this.#past.get(day.day);
      this.#past.set(day.day, there === undefined ? day : together(there, day));
    }
  }

  #closeToday(): void {
    const day = dayOf(this.#wall());
    if (day === this.#today) return;
    const over = this.#soFar();
    if (isBusy(over)) this.#past.set(over.day, over);
    this.#today = day;
    this.#mark = structuredClone(this.#counters.counts);
    for (const [oldest] of [...this.#past].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, -keptDays))
      this.#past.delete(oldest);
  }

  #soFar(): Day {
    const now = asDay(this.#today, plus(this.#counters.counts, this.#mark, -1));
    const before = this.#past.get(this.#today);
    return before === undefined ? now : together(before, now);
  }
}

function asDay(day: string, { narinfo, nar, ...rest }: Counts): Day {
  const { bySource: _, ...narinfos } = narinfo;
  const { bySource: __, ...nars } = nar;
  return { day, narinfo: narinfos, nar: nars, ...rest };
}

function together(a: Day, b: Day): Day {
  return asDay(a.day, plus(asCounts(a), asCounts(b)));
}

function asCounts({ day: _, narinfo, nar, ...rest }: Day): Counts {
  return { narinfo: { ...narinfo, bySource: {} }, nar: { ...nar, bySource: {} }, ...rest };
}

function isBusy({ day: _, ...groups }: Day): boolean {
  return Object.values(groups).some((counts) => Object.values(counts).some((count) => count > 0));
}

/** As in `2026-11-21`. */
function dayOf(wall: number): string {
  const date = new Date(wall);
  const two = (number: number) => String(number).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
