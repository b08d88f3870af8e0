import type { Cancel, Clock } from './clock.ts';
import type { Packet } from './packet.ts';
import { type Announced, createRecordTable, type News } from './records.ts';
import { browseName, serviceTypes } from './service-types.ts';
import { TokenBucket } from './token-bucket.ts';
import type { Transport } from './transport.ts';

/** Looks for caches on one link. */
export interface Browser {
  /** Takes in a response from `source`. */
  received(response: Packet, source: string): void;
  /** Asks again soon, because a cache got lost that may be there under another address. */
  askAgain(): void;
  stop(): void;
}

/** What a browser needs to know and whom it tells. */
export interface BrowseOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Whether a cache is known and well, so that it need not answer again. */
  isSettled(cache: Announced): boolean;
  heard(news: News): void;
}

const schedule = [0, 1_000, 3_000, 9_000]; // ms after the start
const period = 20_000; // ms

// Questions beyond the schedule: five at once, then one each 5 s, whatever the link makes us wonder about.
const [extraRate, extraBurst, extraDelay] = [0.2, 5, 50];

const browsed = serviceTypes.map((type) => ({ name: browseName(type), type: 'PTR' }));

/** Begins to browse for all types of service under which caches are announced. */
export function browse({ transport, clock, isSettled, heard }: BrowseOptions): Browser {
  const table = createRecordTable(clock);
  const extra = new TokenBucket(clock, extraRate, extraBurst);
  const timers = schedule.map((delay) => clock.after(delay, ask));
  timers.push(clock.every(period, ask));
  let soon: Cancel | undefined;

  function ask(): void {
    const details = table.askIncomplete().flatMap((name) => ['SRV', 'TXT'].map((type) => ({ name, type })));
    transport.query([...browsed, ...details], table.knownAnswers(isSettled));
  }

  function askAgain(): void {
    if (soon || !extra.take()) return;
    soon = clock.after(extraDelay, () => {
      soon = undefined;
      ask();
    });
  }

  return {
    received: (response, source) => {
      const news = table.learn(source, response.records);
      if (news.seen.length > 0 || news.gone.length > 0) heard(news);
      if (table.hasIncomplete()) askAgain();
    },
    askAgain,
    stop: () => {
      for (const cancel of timers) cancel();
      soon?.();
    },
  };
}
