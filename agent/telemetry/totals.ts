import * as v from 'valibot';
import { type Clock, systemClock } from './clock.ts';
import type { Counters } from './counters.ts';
import { emptyCounts, plus } from './counts.ts';
import { type Counts, countsSchema, type Day, daySchema } from './counts-schema.ts';
import { History } from './history.ts';

/** A place for some text that outlives the process. */
export interface Keep {
  /** Undefined when there is none. Never rejects. */
  load(): Promise<string | undefined>;
  /** Puts it in the place of what was there, whole or not at all; whether that was possible. Never rejects. */
  save(text: string): Promise<boolean>;
}

export interface TotalsOptions {
  readonly counters: Counters;
  readonly keep: Keep;
  readonly clock?: Clock;
  /** Ms since the epoch. */
  readonly wall?: () => number;
}

const saveEvery = 60_000;

const keptSchema = v.object({
  version: v.literal(1),
  since: v.pipe(v.string(), v.isoTimestamp()),
  totals: countsSchema,
  days: v.array(daySchema),
});

/**
 * Counts over all starts of the agent, and by day. They are kept at most once a minute and at the end; a kept text that is torn, missing
 * or of another version costs counts and nothing else.
 */
export class Totals {
  readonly #options: TotalsOptions;
  readonly #clock: Clock;
  readonly #history: History;
  #before: Counts = emptyCounts();
  #since: number;
  #saved = '';
  #loaded: Promise<void> | undefined;
  #stopped = false;
  #cancel = () => {};

  constructor(options: TotalsOptions) {
    const { counters, clock = systemClock, wall = Date.now } = options;
    this.#options = options;
    this.#clock = clock;
    this.#since = wall();
    this.#history = new History(counters, wall);
  }

  get totals(): Counts {
    return plus(this.#before, this.#options.counters.counts);
  }

  /** When counting began, in ms since the epoch. */
  get since(): number {
    return this.#since;
  }

  /** The days on which something was counted, oldest first, today's so far included. */
  get days(): Day[] {
    return this.#history.days;
  }

  /** Loads what was kept and begins to keep. Resolves when it is loaded; nothing needs to wait for that. */
  start(): Promise<void> {
    this.#loaded ??= this.#load().then(() => this.#schedule());
    return this.#loaded;
  }

  /** Keeps what there is for the last time. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loaded;
    this.#cancel();
    if (this.#loaded !== undefined) await this.#save();
  }

  async #load(): Promise<void> {
    const text = await this.#options.keep.load();
    const kept = text === undefined ? undefined : parsed(text);
    if (kept === undefined) return;
    this.#before = kept.totals;
    this.#since = Date.parse(kept.since);
    this.#history.add(kept.days);
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#cancel = this.#clock.after(saveEvery, () => void this.#save().then(() => this.#schedule()));
  }

  async #save(): Promise<void> {
    const { totals, days } = this;
    const since = new Date(this.#since).toISOString();
    const text = JSON.stringify({ version: 1, since, totals, days });
    if (text !== this.#saved && (await this.#options.keep.save(text))) this.#saved = text;
  }
}

function parsed(text: string): v.InferOutput<typeof keptSchema> | undefined {
  try {
    return v.parse(keptSchema, JSON.parse(text));
  } catch {
    return undefined;
  }
}
