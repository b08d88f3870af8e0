import { expect, it } from 'vitest';
import { news } from '../../../agent/dashboard/announcements.js';
import { Rates } from '../../../agent/dashboard/rates.js';
import { nothingKnown, told } from '../../../agent/dashboard/state.js';
import { dayOf, daysUpTo, today } from '../../../agent/dashboard/today.js';
import type { StatsEvent } from '../../../agent/http/event-schema.ts';
import { busyFigures, countsOf, emptyFigures } from '../../e2e/harness/dashboard-figures.ts';

const now = new Date('2026-11-21T14:00:00').getTime();
const MiB = 1024 ** 2;

function known(figures: ReturnType<typeof busyFigures>, ...events: StatsEvent[]) {
  return [{ type: 'snapshot', ...figures } as const, ...events].reduce(told, nothingKnown);
}

it('knows what the agent has said, newest first', () => {
  const { stats, recent } = busyFigures(now);
  const [transfer] = stats.transfers;
  const [rejection] = recent.rejections;
  if (transfer === undefined || rejection === undefined) throw new Error('nothing to tell');
  const { peers } = stats;
  const later = known(
    { stats, recent },
    { type: 'transfer', transfer: { ...transfer, received: 7 } },
    { type: 'transfer', transfer: { ...transfer, storePath: 'another' } },
    { type: 'transfer-end', storePath: stats.transfers[1]?.storePath ?? '', result: 'verified' },
    { type: 'peer-gone', url: peers[0]?.url ?? '' },
    { type: 'source-gone', id: stats.sources[0]?.id ?? '' },
    { type: 'rejection', rejection },
  );
  expect(later.stats?.transfers.map(({ storePath, received }) => [storePath, received])).toEqual([
    [transfer.storePath, 7],
    [stats.transfers[2]?.storePath, stats.transfers[2]?.received],
    ['another', transfer.received],
  ]);
  expect(later.stats?.peers).toEqual(peers.slice(1));
  expect(later.stats?.sources).toEqual(stats.sources.slice(1));
  expect(later.rejections).toEqual([rejection, ...recent.rejections.toReversed()]);
  expect(later.requests).toEqual(recent.requests.toReversed());
});

it('keeps no more requests than the agent does', () => {
  const { stats, recent } = busyFigures(now);
  const [request] = recent.requests;
  if (request === undefined) throw new Error('nothing to tell');
  const many = Array.from({ length: 600 }, () => ({ type: 'request', request }) as const);
  expect(known({ stats, recent }, ...many).requests).toHaveLength(500);
});

it('passes over what comes before the first figures', () => {
  expect(told(nothingKnown, { type: 'peer-gone', url: 'x' })).toBe(nothingKnown);
});

it("adds what came since the first figures to today's, and to no other day's", () => {
  const figures = busyFigures(now);
  const { stats } = figures;
  const before = stats.totals.bytes;
  const totals = {
    ...stats.totals,
    bytes: { ...before, fromLan: before.fromLan + 5 * MiB },
    nar: { ...stats.totals.nar, hits: stats.totals.nar.hits + 3 },
  };
  const later = known(figures, {
    type: 'counters',
    sinceStart: stats.sinceStart,
    totals,
    latency: stats.latency,
  });
  const day = stats.history.at(-1);
  expect(today(later, now)?.bytes.fromLan).toBe((day?.bytes.fromLan ?? 0) + 5 * MiB);
  expect(today(later, now)?.nar.hits).toBe((day?.nar.hits ?? 0) + 3);
  const days = daysUpTo(later, now);
  expect(days.map(({ day }) => day)).toEqual(stats.history.map(({ day }) => day));
  expect(days.at(-1)?.bytes.fromLan).toBe((day?.bytes.fromLan ?? 0) + 5 * MiB);
  expect(days.at(-2)?.bytes).toEqual(stats.history.at(-2)?.bytes);
  expect(daysUpTo(known(emptyFigures(now)), now)).toMatchObject([{ day: dayOf(now), bytes: { served: 0 } }]);
});

it('makes rates of counters, and none of an agent that starts anew', () => {
  const rates = new Rates();
  const seconds = [0, 2, 4, 6];
  for (const [index, upstream] of [10 * MiB, 14 * MiB, 2 * MiB, 3 * MiB].entries())
    rates.add(seconds[index] ?? 0, countsOf(upstream, 0, 0).bytes);
  expect(rates.times).toEqual([2, 4, 6]);
  expect(rates.series[0]).toEqual([2 * MiB, 0, MiB / 2]);
  for (let at = 8; at < 2_000; at += 2) rates.add(at, countsOf(0, 0, 0).bytes);
  expect([rates.times, ...rates.series].map(({ length }) => length)).toEqual([150, 150, 150, 150]);
});

it('tells a screen reader of peers, sources and the network, not of every figure', () => {
  const { stats } = busyFigures(now);
  const [pi, ...others] = stats.peers;
  if (pi === undefined) throw new Error('no peer');
  expect(news(undefined, stats)).toEqual([]);
  expect(news(stats, { ...stats, totals: countsOf(1, 2, 3), transfers: [] })).toEqual([]);
  const down = { ...pi, state: 'down' as const };
  expect(news(stats, { ...stats, peers: [down, ...others] })).toEqual(['pi on the LAN is down']);
  expect(news(stats, { ...stats, peers: others })).toEqual(['pi has left the LAN']);
  const sources = stats.sources.map((source) => ({ ...source, health: 'down' as const }));
  expect(news(stats, { ...stats, sources }).at(0)).toBe('cache.nixos.org is down');
  const network = { ...stats.network, state: 'offline' as const };
  expect(news(stats, { ...stats, network })).toEqual(['The network is now: offline']);
});
