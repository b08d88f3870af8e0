import { describe, expect, it } from 'vitest';
import { Counters, type Finished } from '../../../agent/telemetry/counters.ts';
import { emptyCounts, plus } from '../../../agent/telemetry/counts.ts';
import { type Keep, Totals } from '../../../agent/telemetry/totals.ts';
import { ManualClock } from '../source/support/manual-clock.ts';

const hit: Finished = {
  method: 'GET',
  kind: 'narinfo',
  path: 'x',
  result: 'hit',
  giver: { id: 'disk', origin: 'disk' },
  bytes: 100,
  ms: 1,
  reason: undefined,
};
const nar: Finished = {
  ...hit,
  kind: 'nar',
  result: 'miss',
  giver: { id: 'http://far', origin: 'upstream' },
};

const day = 24 * 3_600_000;
/** Noon, so that no time zone makes it another day. */
const noon = new Date(2026, 10, 21, 12).getTime();

/** One start of an agent after another, over the same kept text, by clocks of the test's. */
class Lives {
  text: string | undefined;
  saves = 0;
  /** Whether the disk takes it. */
  takes = true;
  wall = noon;

  async begin() {
    const clock = new ManualClock();
    const counters = new Counters(() => this.wall);
    const keep: Keep = {
      load: async () => this.text,
      save: async (text) => {
        this.saves += 1;
        if (this.takes) this.text = text;
        return this.takes;
      },
    };
    const totals = new Totals({ counters, keep, clock, wall: () => this.wall });
    await totals.start();
    return { clock, counters, totals };
  }
}

describe('totals', () => {
  it('go on over restarts, with what was counted by source', async () => {
    const lives = new Lives();
    const first = await lives.begin();
    first.counters.local(hit);
    first.counters.local(nar);
    await first.totals.stop();
    lives.wall += 1_000;
    const second = await lives.begin();
    second.counters.local(hit);
    expect(second.totals.totals.narinfo).toMatchObject({ requests: 2, hits: 2 });
    expect(second.totals.totals.narinfo.bySource).toMatchObject({ disk: { origin: 'disk', answered: 2 } });
    expect(second.totals.totals.nar).toMatchObject({ requests: 1, misses: 1 });
    expect(second.counters.counts.narinfo.requests).toBe(1);
    expect(second.totals.since).toBe(noon);
  });

  it('are kept once a minute, and only when something was counted', async () => {
    const lives = new Lives();
    const { clock, counters } = await lives.begin();
    for (let n = 0; n < 59_000; n += 1_000) {
      counters.local(hit);
      await clock.pass(1_000);
    }
    expect(lives.saves).toBe(0);
    await clock.pass(1_000);
    await expect.poll(() => lives.saves).toBe(1);
    await clock.pass(600_000);
    expect(lives.saves).toBe(1);
    counters.local(hit);
    await clock.pass(60_000);
    await expect.poll(() => lives.saves).toBe(2);
  });

  it.each([
    ['torn', (text: string) => text.slice(0, text.length / 2)],
    ['empty', () => ''],
    ['of a later version', (text: string) => text.replace('"version":1', '"version":2')],
    ['of wrong numbers', (text: string) => text.replace('"requests":1', '"requests":-1')],
  ])('begin anew when what was kept is %s, and nothing else happens', async (_, spoil) => {
    const lives = new Lives();
    const first = await lives.begin();
    first.counters.local(hit);
    await first.totals.stop();
    lives.text = spoil(lives.text ?? '');
    const second = await lives.begin();
    expect(second.totals.totals).toEqual(emptyCounts());
    second.counters.local(hit);
    await second.totals.stop();
    expect((await lives.begin()).totals.totals.narinfo.requests).toBe(1);
  });

  it('go on from what an agent kept that did not count uploads yet', async () => {
    const lives = new Lives();
    const first = await lives.begin();
    first.counters.local(hit);
    await first.totals.stop();
    lives.text = lives.text?.replace(/,"uploads":\{[^}]*\}/g, '');
    expect(lives.text).not.toContain('uploads');
    const second = await lives.begin();
    second.counters.uploaded();
    second.counters.uploadReceived(100);
    second.counters.uploadRefused('cut');
    const uploads = { ...emptyCounts().uploads, paths: 1, bytes: 100, cut: 1 };
    expect(second.totals.totals).toMatchObject({ narinfo: { requests: 1 }, uploads });
    expect(second.totals.days).toMatchObject([{ narinfo: { requests: 1 }, uploads }]);
  });

  it('are kept later when the disk does not take them', async () => {
    const lives = new Lives();
    lives.takes = false;
    const { clock, counters, totals } = await lives.begin();
    counters.local(hit);
    await clock.pass(60_000);
    await expect.poll(() => lives.saves).toBe(1);
    lives.takes = true;
    await totals.stop();
    expect((await lives.begin()).totals.totals.narinfo.requests).toBe(1);
  });
});

describe('history', () => {
  it('has each day on which something was counted, over restarts and midnights', async () => {
    const lives = new Lives();
    const first = await lives.begin();
    first.counters.local(hit);
    await first.totals.stop();
    const second = await lives.begin();
    second.counters.local(hit);
    lives.wall += day;
    expect(second.totals.days.map(({ day, narinfo }) => [day, narinfo.requests])).toEqual([
      ['2026-11-21', 2],
    ]);
    second.counters.local(nar);
    lives.wall += 2 * day;
    second.counters.local(hit);
    const days = second.totals.days.map(({ day, narinfo, nar }) => [day, narinfo.requests, nar.requests]);
    // Between two looks nobody can tell the days apart; the agent looks each minute.
    expect(days).toEqual([
      ['2026-11-21', 2, 0],
      ['2026-11-22', 1, 1],
    ]);
  });

  it('goes back 90 days', async () => {
    const lives = new Lives();
    const { counters, totals } = await lives.begin();
    for (let n = 0; n < 120; n += 1) {
      lives.wall += day;
      expect(totals.days.length).toBe(Math.min(n, 90));
      counters.local(hit);
      expect(totals.days.at(-1)?.narinfo.requests).toBe(1);
    }
    expect(totals.days.length).toBe(90);
    await totals.stop();
    expect((await lives.begin()).totals.days.length).toBe(90);
    expect(totals.totals.narinfo.requests).toBe(120);
  });

  it('bears a clock that is set back', async () => {
    const lives = new Lives();
    const { counters, totals } = await lives.begin();
    counters.local(hit);
    expect(totals.days.length).toBe(1);
    lives.wall -= day;
    expect(totals.days.map(({ day, narinfo }) => [day, narinfo.requests])).toEqual([['2026-11-21', 1]]);
    counters.local(hit);
    expect(totals.days.map(({ day, narinfo }) => [day, narinfo.requests])).toEqual([
      ['2026-11-20', 1],
      ['2026-11-21', 1],
    ]);
    lives.wall += day;
    expect(totals.days.at(-1)?.narinfo.requests).toBe(1);
    counters.local(hit);
    expect(totals.days.at(-1)?.narinfo.requests).toBe(2);
  });
});

describe('counts', () => {
  it('of ever new sources stay few, and none is lost', () => {
    const counters = new Counters();
    for (let n = 0; n < 200; n += 1)
      counters.narinfosOf({ id: `http://10.0.0.${n}`, origin: 'lan' }).asked += 1;
    const other = new Counters();
    for (let n = 0; n < 200; n += 1) other.narinfosOf({ id: `http://10.1.0.${n}`, origin: 'lan' }).asked += 1;
    const { bySource } = plus(counters.counts, other.counts).narinfo;
    expect(Object.keys(bySource).length).toBeLessThanOrEqual(65);
    expect(Object.values(bySource).reduce((sum, { asked }) => sum + asked, 0)).toBe(400);
  });

  it('keep the last 500 requests and the last 100 rejections', () => {
    const counters = new Counters(() => 0);
    for (let n = 0; n < 1_234; n += 1) {
      counters.local({ ...hit, path: String(n) });
      counters.rejected({ kind: 'nar', path: String(n), giver: { id: 'a', origin: 'lan' }, reason: 'wrong' });
    }
    expect(counters.requests.map(({ path }) => Number(path))).toEqual(
      Array.from({ length: 500 }, (_, n) => 734 + n),
    );
    expect(counters.rejections.map(({ path }) => Number(path))).toEqual(
      Array.from({ length: 100 }, (_, n) => 1_134 + n),
    );
  });
});
