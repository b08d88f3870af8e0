import { describe, expect, it } from 'vitest';
import { statusLines } from '../../../agent/commands/status/screen.ts';
import { rendered } from '../../../agent/commands/terminal/lines.ts';
import type { Stats } from '../../../agent/http/stats-schema.ts';
import { emptyCounts } from '../../../agent/telemetry/counts.ts';
import { emptyStats } from '../../fixtures/stats.ts';

const now = new Date(2026, 0, 2, 3, 4, 5);
const mib = 1024 * 1024;

const counts = (fromLan: number, fromUpstream: number): Stats['totals'] => {
  const { narinfo, nar, bytes, ...others } = emptyCounts();
  return {
    narinfo: { ...narinfo, requests: 10, hits: 9, misses: 1 },
    nar: { ...nar, requests: 3, hits: 1, misses: 2 },
    bytes: { ...bytes, fromLan, fromUpstream, savedUpstream: fromLan, served: 2 * (fromLan + fromUpstream) },
    ...others,
  };
};

const source = {
  id: 'https://cache.nixos.org',
  reach: 'upstream',
  health: 'up',
  reason: null,
  latencyMs: 31.4,
  bytesPerSecond: 900 * 1024,
  priority: 40,
} as const;

const atHome: Stats = {
  schema: 2,
  version: '1.2.3',
  startedAt: '2026-01-01T23:00:00.000Z',
  uptimeMs: 3 * 3_600_000 + 240_000,
  network: { online: true, state: 'home', addresses: [] },
  sources: [
    source,
    { ...source, id: 'http://192.168.0.42:6271', reach: 'lan', latencyMs: 1.25, bytesPerSecond: 11 * mib },
    {
      ...source,
      id: 'https://away.example',
      health: 'down',
      reason: 'https://away.example cannot be reached',
      latencyMs: null,
      bytesPerSecond: null,
    },
  ],
  peers: [
    {
      name: 'pi narrowcast 0123456789ab',
      url: 'http://192.168.0.42:6271/',
      origin: '_nix-cache._tcp',
      state: 'up',
      reason: null,
      latencyMs: 1.25,
      lastSeen: null,
      announced: {},
    },
  ],
  cache: {
    ...emptyStats.cache,
    paths: 812,
    nars: 800,
    bytes: 5 * 1024 * mib,
    maxBytes: 20 * 1024 * mib,
    disk: { condition: 'ok', free: 70 * 1024 * mib },
  },
  sinceStart: counts(30 * mib, 10 * mib),
  totals: counts(300 * mib, 100 * mib),
  totalsSince: '2025-12-01T00:00:00.000Z',
  latency: { lookup: { count: 0, p50: null, p90: null, p99: null }, bySource: {} },
  transfers: [
    {
      storePath: '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-2.12',
      received: 10 * mib,
      total: 40 * mib,
      rate: mib,
      source: 'https://cache.nixos.org',
      narSize: 100 * mib,
      clients: 1,
      startedAt: '2026-01-02T03:04:00.000Z',
    },
  ],
  history: [{ day: '2026-01-02', ...counts(10 * mib, 0) }],
};

const shown = (stats: Partial<Stats>, columns: number) =>
  statusLines({ ...atHome, ...stats }, now, columns).map((line) => rendered(line, columns));

describe('the screen', () => {
  it('tells everything in 80 columns', () => {
    expect(shown({}, 80)).toEqual([
      'narrowcast 1.2.3 up 3 h 4 min, since 2026-01-01 23:00 UTC',
      'network   at home, 1 cache on the LAN',
      'cache     [##--------] 5.0 GiB of 20 GiB, 812 paths, 70 GiB free',
      '',
      'transfers',
      '  [#####---------------] 10 MiB of 40 MiB, 1.0 MiB/s, 0:30 left',
      '                         hello-2.12 from https://cache.nixos.org',
      '',
      'bytes     today                  since start            since 2025-12-01',
      'LAN       [##########]   10 MiB  [#######---]   30 MiB  [#######---]  300 MiB',
      'disk      [----------]      0 B  [----------]      0 B  [----------]      0 B',
      'upstream  [----------]      0 B  [##--------]   10 MiB  [##--------]  100 MiB',
      'saved     10 MiB                 30 MiB                 300 MiB',
      'served    20 MiB                 80 MiB                 800 MiB',
      'hits      NARs 33 %, paths 90 %  NARs 33 %, paths 90 %  NARs 33 %, paths 90 %',
      '',
      'sources',
      '✓ https://cache.nixos.org   upstream   31 ms  900 KiB/s',
      '✓ http://192.168.0.42:6271  LAN       1.3 ms   11 MiB/s',
      '    pi narrowcast 0123456789ab',
      '✗ https://away.example      upstream',
      '    https://away.example cannot be reached',
    ]);
  });

  it('tells everything in 40 columns, and is never wider', () => {
    const lines = shown({}, 40);
    expect(lines.slice(0, 12)).toEqual([
      'narrowcast 1.2.3 up 3 h 4 min',
      'network   at home, 1 cache on the LAN',
      'cache     [##--------] 5.0 GiB of 20 GiB',
      '',
      'transfers',
      '  hello-2.12',
      '    10 MiB of 40 MiB, 1.0 MiB/s, 0:30 l…',
      '    [##--------]',
      '    from https://cache.nixos.org',
      '',
      'bytes     today',
      'LAN       [##########]   10 MiB',
    ]);
    expect(lines).toContain('bytes     since 2025-12-01');
    expect(lines).toContain('    LAN, 1.3 ms, 11 MiB/s');
    for (const columns of [1, 10, 40, 79, 200])
      for (const line of shown({}, columns)) expect([...line].length).toBeLessThanOrEqual(columns);
  });

  it('tells what was uploaded, where anything ever was', () => {
    const uploads = { ...emptyCounts().uploads, paths: 61, bytes: 217 * mib };
    const refused = { unauthorized: 3, untrusted: 1 };
    const totals = { ...atHome.totals, uploads: { ...uploads, paths: 1_204 } };
    const history = [{ day: '2026-01-02', ...atHome.totals, uploads: { ...uploads, ...refused } }];
    const lines = (stats: Partial<Stats>, columns: number) =>
      shown({ totals, ...stats }, columns).filter((line, n) => n > 2 && n < 6 && line !== '');
    expect(lines({ history }, 80).slice(0, 2)).toEqual([
      'uploads   61 paths today, 217 MiB, 1204 paths since 2025-12-01',
      '          not taken: 3 without a known token, 1 not signed by a trusted key',
    ]);
    expect(lines({ history }, 40).slice(0, 3)).toEqual([
      'uploads   61 paths today, 217 MiB',
      '          not taken: 3 without a known',
      '          token, 1 not signed by a',
    ]);
    expect(lines({ history: [] }, 80)[0]).toBe('uploads   none today, 1204 paths since 2025-12-01');
  });

  it('tells what is not as it should be', () => {
    const trouble = { interface: 'eth0', address: '10.0.0.2', mdnsTrouble: 'The port is taken.' };
    const text = shown(
      {
        network: { online: true, state: 'captive', addresses: [trouble, trouble] },
        cache: {
          ...atHome.cache,
          maxBytes: 0,
          quarantined: 2,
          disk: { condition: 'full', message: 'no space' },
        },
        totals: { ...atHome.totals, bytes: { ...atHome.totals.bytes, wasted: 5 * mib } },
      },
      80,
    ).join('\n');
    expect(text).toContain('captive: this network wants a login');
    expect(text.match(/mDNS does not work on eth0: The port is taken\./g)?.length).toBe(1);
    expect(text).toContain('full: no space');
    expect(text).toContain('2 damaged NARs set aside');
    expect(text).toMatch(/^wasted +0 B +0 B +5\.0 MiB$/m);
  });

  it('has nothing to tell on a plane, and says so', () => {
    const text = shown(
      {
        network: { online: false, state: 'offline', addresses: [] },
        sources: [],
        peers: [],
        transfers: [],
        history: [],
      },
      80,
    ).join('\n');
    expect(text).toContain('offline: what is kept is served');
    expect(text).toContain('transfers none');
    expect(text).toContain('none is configured, and none is known on the LAN');
  });

  it('shows as many transfers as there is room for, and peers that are no source', () => {
    const [transfer] = atHome.transfers;
    const many = Array.from({ length: 9 }, () => transfer ?? []).flat();
    const peer = {
      ...atHome.peers,
      name: 'nas',
      url: 'http://10.0.0.9/',
      origin: 'static',
      state: 'down',
      reason: 'no answer',
      latencyMs: null,
      lastSeen: null,
      announced: {},
    } as const;
    const lines = shown(
      {
        transfers: [...many, { ...(many[0] ?? peerless()), total: null, rate: 0, source: null }],
        peers: [...atHome.peers, peer],
      },
      80,
    );
    expect(lines.filter((line) => line.includes('hello-2.12')).length).toBe(6);
    expect(lines).toContain('  and 4 more');
    expect(lines).toContain('✗ nas                       LAN');
    expect(lines).toContain('    no answer');
  });

  it('lets no name from the network act on the terminal', () => {
    const peers = [{ ...(atHome.peers[0] ?? peerless()), name: 'a\u001b[2J\u202e' }];
    const text = shown({ peers }, 80).join('\n');
    expect(text).toContain('a\\u{1b}[2J\\u{202e}');
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{C}/u);
  });
});

function peerless(): never {
  throw new Error('the sample is empty');
}
