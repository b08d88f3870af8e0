import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { peersTable } from '../../../agent/commands/peers.ts';
import type { Stats } from '../../../agent/http/stats-schema.ts';
import { emptyStats } from '../../fixtures/stats.ts';
import { narrowcast } from './narrowcast.ts';

const now = Date.parse('2026-01-02T03:04:05Z');

const pi: Stats['peers'][number] = {
  name: 'pi narrowcast 0123456789ab',
  url: 'http://192.168.0.42:6271/',
  origin: '_nix-cache._tcp',
  state: 'up',
  reason: null,
  latencyMs: 1.25,
  lastSeen: '2026-01-02T03:03:58Z',
  announced: { txtvers: '1', path: '/', prio: '30' },
};
const nas: Stats['peers'][number] = {
  name: 'nas:8080',
  url: 'http://nas:8080/',
  origin: 'static',
  state: 'down',
  reason: 'no answer within 2 s',
  latencyMs: null,
  lastSeen: null,
  announced: {},
};
const atHome: Stats['network'] = {
  online: true,
  state: 'home',
  addresses: [{ interface: 'eth0', address: '192.168.0.2', mdnsTrouble: null }],
};

describe('the table of peers', () => {
  it('tells of each peer what is known', () => {
    expect(peersTable({ peers: [pi, nas], network: atHome }, now)).toBe(
      [
        'NAME                        ADDRESS            TYPE             STATE                       LATENCY  LAST SEEN  ANNOUNCED',
        'pi narrowcast 0123456789ab  192.168.0.42:6271  _nix-cache._tcp  up                          1.3 ms   0:07 ago   txtvers=1 path=/ prio=30',
        'nas:8080                    nas:8080           static           down: no answer within 2 s  -        never      -',
        '',
      ].join('\n'),
    );
  });

  it('lets no name from the network act on the terminal', () => {
    const evil = {
      ...pi,
      name: 'a\u001b[2J\u202egood\u2028\r\n\u009b31m\u{e0001}\ud800 “über” 猫\\u{1b}',
      reason: '\u0007',
      announced: { 'x\u001b]0;t\u0007': '\u0000' },
    };
    const text = peersTable({ peers: [evil], network: atHome }, now);
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    expect(text.split('\n').length).toBe(3);
    expect(text).toContain(
      'a\\u{1b}[2J\\u{202e}good\\u{2028}\\u{d}\\u{a}\\u{9b}31m\\u{e0001}� “über” 猫\\\\u{1b} ',
    );
    expect(text).toContain('x\\u{1b}]0;t\\u{7}=\\u{0}');
  });

  it('says why there is none', () => {
    const trouble = 'Another program keeps UDP port 5353 to itself.';
    const [eth0] = atHome.addresses.map((address) => ({ ...address, mdnsTrouble: trouble }));
    expect(peersTable({ peers: [], network: atHome }, now)).toBe('No cache is known on the LAN.\n');
    expect(peersTable({ peers: [], network: { ...atHome, addresses: eth0 ? [eth0, eth0] : [] } }, now)).toBe(
      `No cache is known on the LAN.\n${trouble}\n`,
    );
    expect(peersTable({ peers: [], network: { online: false, state: 'offline', addresses: [] } }, now)).toBe(
      'No cache is known on the LAN.\nThis machine is offline.\n',
    );
  });
});

/** Something that answers every request with this text; as HOST:PORT. */
async function answering(text: string): Promise<string> {
  const server = createServer((_, response) => response.end(text)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `127.0.0.1:${address.port}`;
}

const stats: Stats = { ...emptyStats, network: atHome, peers: [pi] };

describe('narrowcast peers', () => {
  it('prints what the running agent knows, also as JSON, and passes over what later versions add', async () => {
    const listen = await answering(JSON.stringify({ ...stats, later: { yes: true } }));
    const shown = await narrowcast(['peers', '--option', 'listen', listen]);
    expect([shown.code, shown.stderr]).toEqual([0, '']);
    expect(shown.stdout).toMatch(/^NAME .*\npi narrowcast 0123456789ab {2}192\.168\.0\.42:6271 .*\n$/);
    const json = await narrowcast(['peers', '--json', '--option', 'listen', listen]);
    expect(JSON.parse(json.stdout)).toEqual([pi]);
  });

  it('says what to do when no agent runs, or something else does', async () => {
    const nobody = await narrowcast(['peers', '--option', 'listen', '127.0.0.1:9']);
    expect([nobody.code, nobody.stdout]).toEqual([1, '']);
    expect(nobody.stderr).toMatch(
      /^narrowcast: No narrowcast answers at http:\/\/127\.0\.0\.1:9: start it .*\n$/,
    );
    const other = await narrowcast(['peers', '--option', 'listen', await answering('<html>')]);
    expect(other.code).toBe(1);
    expect(other.stderr).toMatch(/^narrowcast: What answers at http:\/\/127\.0\.0\.1:\d+ is no narrowcast/);
  });
});
