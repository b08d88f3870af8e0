/** Figures for pictures of the dashboard: an agent that has just been started, and one with a great deal to do. */
import type { FinishedRequest, Stats, TransferStats } from '../../../agent/http/stats-schema.ts';
import { emptyCounts } from '../../../agent/telemetry/counts.ts';
import type { Counts, Day } from '../../../agent/telemetry/counts-schema.ts';
import { emptyStats } from '../../fixtures/stats.ts';
import type { SceneFigures } from './dashboard-scene.ts';

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const dayMs = 86_400_000;
const pi = 'http://192.168.0.42:6271/';
const cacheNixos = 'https://cache.nixos.org';

/** Nothing has been asked yet, and nobody is there. */
export function emptyFigures(now = Date.now()): SceneFigures {
  const started = new Date(now - 8_000).toISOString();
  const counts = countsOf(0, 0, 0);
  return {
    stats: {
      ...emptyStats,
      startedAt: started,
      uptimeMs: 8_000,
      network: {
        online: true,
        state: 'away',
        addresses: [{ interface: 'wlan0', address: '10.20.3.4', mdnsTrouble: null }],
      },
      sources: [
        {
          id: cacheNixos,
          reach: 'upstream',
          health: 'unknown',
          reason: null,
          latencyMs: null,
          bytesPerSecond: null,
          priority: 40,
        },
      ],
      cache: { ...emptyStats.cache, maxBytes: 20 * GiB, disk: { condition: 'ok', free: 183 * GiB } },
      sinceStart: counts,
      totals: counts,
      totalsSince: started,
    },
    recent: { requests: [], rejections: [] },
  };
}

/** Three months of use, and an update of the whole system under way. */
export function busyFigures(now = Date.now()): SceneFigures {
  const { stats } = emptyFigures(now);
  const today = countsOf(154 * MiB, 1_310 * MiB, 690 * MiB);
  return {
    stats: {
      ...stats,
      startedAt: new Date(now - 3 * dayMs - 4 * 3_600_000).toISOString(),
      network: { ...stats.network, state: 'home' },
      sources: [
        sourceOf(cacheNixos, 'upstream', 'up', null, 38.2, 1.02 * MiB),
        sourceOf(
          'https://nix-community.cachix.org',
          'upstream',
          'captive',
          'answered with a login page',
          210,
          null,
        ),
        sourceOf('file:///media/stick/cache', 'disk', 'up', null, 0.4, 212 * MiB),
        sourceOf(pi.slice(0, -1), 'lan', 'up', null, 2.1, 42.6 * MiB),
      ],
      peers: [
        peerOf('pi', pi, 'up', null, 2.1, now),
        peerOf(
          "anna's laptop",
          'http://192.168.0.17:6271/',
          'down',
          'connect ECONNREFUSED 192.168.0.17:6271',
          null,
          now,
        ),
        peerOf('workshop', 'http://192.168.0.23:5000/', 'checking', null, null, now),
      ],
      cache: {
        ...stats.cache,
        paths: 18_412,
        nars: 18_377,
        bytes: Math.round(17.3 * GiB),
        evictions: 1_204,
        quarantined: 1,
        partial: { files: 2, bytes: 61 * MiB },
      },
      sinceStart: countsOf(410 * MiB, 2_900 * MiB, 2_210 * MiB),
      totals: countsOf(21.4 * GiB, 96 * GiB, 58.2 * GiB),
      totalsSince: new Date(now - 88 * dayMs).toISOString(),
      transfers: [
        transferOf('linux-6.18.2', 118.6 * MiB, 141.3 * MiB, 1.02 * MiB, cacheNixos, now),
        transferOf('firefox-unwrapped-145.0.1', 12.4 * MiB, 68.7 * MiB, 38.1 * MiB, pi.slice(0, -1), now),
        transferOf('source', 3.2 * MiB, null, 0.4 * MiB, cacheNixos, now),
      ],
      history: historyUpTo(now, today),
    },
    recent: { requests: requestsUpTo(now), rejections: rejectionsUpTo(now) },
  };
}

/** Counters that agree with so many bytes. */
export function countsOf(fromUpstream: number, fromLan: number, fromDisk: number): Counts {
  const [misses, lan, disk] = [fromUpstream, fromLan, fromDisk].map((bytes) =>
    Math.ceil(bytes / (1.4 * MiB)),
  );
  const hits = (lan ?? 0) + (disk ?? 0);
  const requests = { requests: hits + (misses ?? 0), hits, misses: misses ?? 0, absent: 0, rejected: 0 };
  return {
    narinfo: { ...requests, bySource: {} },
    nar: {
      ...requests,
      failed: 0,
      resumed: 0,
      switched: 0,
      bySource: {
        [cacheNixos]: {
          origin: 'upstream',
          transfers: misses ?? 0,
          rejected: 0,
          failed: 0,
          bytes: Math.round(fromUpstream),
        },
        [pi.slice(0, -1)]: {
          origin: 'lan',
          transfers: lan ?? 0,
          rejected: 0,
          failed: 0,
          bytes: Math.round(fromLan),
        },
      },
    },
    bytes: {
      served: Math.round(2.6 * (fromUpstream + fromLan + fromDisk)),
      fromDisk: Math.round(fromDisk),
      fromLan: Math.round(fromLan),
      fromUpstream: Math.round(fromUpstream),
      wasted: 0,
      savedUpstream: Math.round(fromLan + fromDisk),
    },
    shared: emptyCounts().shared,
    uploads: emptyCounts().uploads,
  };
}

/** The date in this machine's time zone. */
export function dateOf(time: number): string {
  return new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

function historyUpTo(now: number, today: Counts): Day[] {
  const days: Day[] = [];
  for (let ago = 88; ago >= 0; ago -= 1) {
    // Some days are busy, some weekends quiet, and since the Pi came, less crosses the downlink.
    const amount =
      ago % 7 === 3 ? 0 : Math.max(0, 900 + 800 * Math.sin(ago / 2.3) + 500 * Math.cos(ago * 1.7)) * MiB;
    const upstream = ago > 60 ? 0.7 : 0.12;
    const counts = ago === 0 ? today : countsOf(upstream * amount, (0.75 - upstream) * amount, 0.25 * amount);
    if (amount > 0) days.push({ day: dateOf(now - ago * dayMs), ...counts });
  }
  return days;
}

function storePath(name: string): string {
  return `/nix/store/${Buffer.from(name.padEnd(20, '0')).toString('hex').slice(0, 32)}-${name}`;
}

function transferOf(
  name: string,
  received: number,
  total: number | null,
  rate: number,
  source: string,
  now: number,
): TransferStats {
  return {
    storePath: storePath(name),
    received: Math.round(received),
    total: total === null ? null : Math.round(total),
    rate,
    source,
    narSize: Math.round(3 * (total ?? received)),
    clients: 1,
    startedAt: new Date(now - 20_000).toISOString(),
  };
}

function sourceOf(
  id: string,
  reach: Stats['sources'][number]['reach'],
  health: Stats['sources'][number]['health'],
  reason: string | null,
  latencyMs: number | null,
  bytesPerSecond: number | null,
): Stats['sources'][number] {
  return { id, reach, health, reason, latencyMs, bytesPerSecond, priority: 40 };
}

function peerOf(
  name: string,
  url: string,
  state: Stats['peers'][number]['state'],
  reason: string | null,
  latencyMs: number | null,
  now: number,
): Stats['peers'][number] {
  const lastSeen = new Date(now - 2_000).toISOString();
  return { name, url, origin: '_nix-cache._tcp', state, reason, latencyMs, lastSeen, announced: {} };
}

function requestsUpTo(now: number): FinishedRequest[] {
  const names = [
    'glibc-2.42-51',
    'openssl-3.6.0',
    'systemd-259',
    'python3-3.13.9',
    'mesa-25.3.1',
    'gcc-15.2.0-lib',
  ];
  return Array.from({ length: 120 }, (_, index): FinishedRequest => {
    const name = `${names[index % names.length]}${index > 60 ? '-man' : ''}`;
    const time = new Date(now - (120 - index) * 700).toISOString();
    const common = { time, method: 'GET', path: storePath(name), reason: null } as const;
    if (index % 17 === 5)
      return { ...common, kind: 'narinfo', result: 'absent', source: null, origin: null, bytes: 0, ms: 41.3 };
    if (index % 31 === 9) {
      const reason = 'every source with this NAR failed';
      return {
        ...common,
        kind: 'nar',
        result: 'failed',
        source: cacheNixos,
        origin: 'upstream',
        bytes: 1_048_576,
        ms: 30_400,
        reason,
      };
    }
    if (index % 9 === 4)
      return {
        ...common,
        kind: 'nar',
        result: 'miss',
        source: cacheNixos,
        origin: 'upstream',
        bytes: 6_291_456,
        ms: 5_810,
      };
    if (index % 2 === 0)
      return {
        ...common,
        kind: 'narinfo',
        result: 'hit',
        source: 'memory',
        origin: 'memory',
        bytes: 612,
        ms: 0.3,
      };
    return {
      ...common,
      kind: 'nar',
      result: 'hit',
      source: pi.slice(0, -1),
      origin: 'lan',
      bytes: 2_912_345,
      ms: 84.1,
    };
  });
}

function rejectionsUpTo(now: number): SceneFigures['recent']['rejections'] {
  const source = 'http://192.168.0.17:6271';
  return [
    {
      time: new Date(now - 4_000_000).toISOString(),
      kind: 'narinfo',
      path: storePath('openssl-3.6.0'),
      source,
      reason: 'not signed by a trusted key',
    },
    {
      time: new Date(now - 900_000).toISOString(),
      kind: 'nar',
      path: storePath('mesa-25.3.1'),
      source,
      reason: 'its NarHash is not the signed one',
    },
  ];
}
