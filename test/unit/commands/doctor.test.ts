import { describe, expect, it } from 'vitest';
import { checkClock } from '../../../agent/commands/doctor/clock.ts';
import { ok, warning } from '../../../agent/commands/doctor/finding.ts';
import { checkFirewall } from '../../../agent/commands/doctor/firewall.ts';
import { checkMdns } from '../../../agent/commands/doctor/mdns.ts';
import { nixSettings } from '../../../agent/commands/doctor/nix-settings.ts';
import { checkPeers } from '../../../agent/commands/doctor/peers.ts';
import { checkProxy, daemonEnvironment } from '../../../agent/commands/doctor/proxy.ts';
import { report } from '../../../agent/commands/doctor/report.ts';
import type { Ran } from '../../../agent/commands/doctor/run-program.ts';
import { checkUpstreams } from '../../../agent/commands/doctor/upstreams.ts';

const said = (stdout: string): Ran => ({ code: 0, stdout, stderr: '' });
const failed = (stderr: string): Ran => ({ code: 1, stdout: '', stderr });

describe('the firewall', () => {
  const doors = { tcp: 6271, mdns: true };
  const nft = (rules: string) =>
    `table inet filter { chain input { type filter hook input priority 0; policy drop; ${rules} } }`;

  it.each([
    ['nftables that drops all else', nft('tcp dport 22 accept'), 'warning', /6271\/tcp and 5353\/udp/],
    ['nftables that lets in one', nft('tcp dport { 22, 6271 } accept'), 'warning', /mention 5353\/udp/],
    ['nftables that lets in both', nft('tcp dport 6271 accept; udp dport 5353 accept'), 'ok', /names 6271/],
    ["NixOS's iptables", '-A INPUT -j nixos-fw\n-A nixos-fw-refuse -j DROP\n', 'warning', /6271\/tcp/],
    ['no rules', '', 'ok', /No firewall/],
    ['rules that drop nothing', ':INPUT ACCEPT [0:0]\n', 'ok', /No firewall/],
    ['rules that cannot be read', undefined, 'skipped', /must let in 6271\/tcp and 5353\/udp/],
  ])('%s', (_, rules, verdict, fact) => {
    expect(checkFirewall(rules, doors)).toMatchObject({ verdict, fact: expect.stringMatching(fact) });
  });

  it('has nothing to let in where the LAN sees nothing of us', () => {
    expect(checkFirewall(nft(''), { tcp: undefined, mdns: false }).verdict).toBe('ok');
  });
});

describe('the proxy', () => {
  const nix = (env: NodeJS.ProcessEnv) => checkProxy([{ of: 'nix-daemon', env }], 'localhost').verdict;

  it('stands between unless no_proxy names the host, as curl reads it', () => {
    const proxy = 'http://proxy.example:3128';
    expect(nix({})).toBe('ok');
    expect(nix({ http_proxy: proxy })).toBe('fault');
    expect(nix({ ALL_PROXY: proxy, no_proxy: '127.0.0.1' })).toBe('fault');
    expect(nix({ http_proxy: proxy, no_proxy: '127.0.0.1, localhost' })).toBe('ok');
    expect(nix({ http_proxy: proxy, no_proxy: '*' })).toBe('ok');
    // curl takes no notice of it, for a CGI program could be made to.
    expect(nix({ HTTP_PROXY: proxy })).toBe('ok');
    expect(nix({ https_proxy: proxy })).toBe('ok');
  });

  it("reads the daemon's environment as systemctl prints it", async () => {
    const shown = 'LANG=C "no_proxy=a b,localhost" http_proxy=http://p:1\n';
    const read = await daemonEnvironment(async () => said(shown));
    expect(read?.env).toEqual({ LANG: 'C', no_proxy: 'a b,localhost', http_proxy: 'http://p:1' });
    expect(await daemonEnvironment(async () => undefined)).toBeUndefined();
  });
});

describe('the clock', () => {
  const now = Date.parse('2026-01-02T03:04:05Z');

  it('is compared with the cache that is nearest to it', () => {
    const check = (...dates: number[]) =>
      checkClock(
        dates.map((date, n) => ({ id: `c${n}`, date })),
        now,
      );
    expect(check(now - 59_000).verdict).toBe('ok');
    expect(check(now + 90_000)).toMatchObject({
      verdict: 'warning',
      fact: expect.stringContaining('behind'),
    });
    expect(check(now + 864_000_000, now + 1_000).verdict).toBe('ok');
    expect(check(now - 7_200_000).fact).toBe('Our clock is 2 hours ahead of that of c0.');
    expect(check().verdict).toBe('skipped');
  });

  it('is doubted when a certificate is not valid now', () => {
    const { verdict, fact } = checkClock([{ id: 'https://c', tlsError: 'CERT_NOT_YET_VALID' }], now);
    expect([verdict, fact]).toEqual(['fault', expect.stringContaining('2026-01-02T03:04:05')]);
    expect(checkClock([{ id: 'https://c', tlsError: 'ECONNREFUSED' }], now).verdict).toBe('skipped');
  });
});

describe('the LAN', () => {
  const eth0 = { interface: 'eth0', address: '10.0.0.2', mdnsTrouble: null };
  const pi = {
    name: 'pi\u001b[2J',
    url: 'http://10.0.0.3:6271/',
    origin: 'static',
    state: 'up' as const,
    reason: null,
    latencyMs: 1,
    lastSeen: null,
    announced: {},
  };

  it('has mDNS where neither avahi nor the agent says otherwise', () => {
    const network = { online: true, state: 'away' as const, addresses: [eth0] };
    expect(checkMdns('#disallow-other-stacks=yes\n', network).verdict).toBe('ok');
    expect(checkMdns('disallow-other-stacks = yes', network).verdict).toBe('fault');
    const taken = { ...eth0, mdnsTrouble: 'The port is taken.' };
    expect(checkMdns(undefined, { ...network, addresses: [taken] })).toMatchObject({
      verdict: 'fault',
      fact: 'mDNS does not work on eth0: The port is taken.',
    });
    expect(checkMdns(undefined, undefined).verdict).toBe('skipped');
  });

  it('has peers, whose names cannot act on the terminal', () => {
    expect(checkPeers([pi])).toMatchObject({ verdict: 'ok', fact: '1 cache on the LAN: pi\\u{1b}[2J.' });
    expect(checkPeers([pi, { ...pi, state: 'down', reason: 'no answer' }]).verdict).toBe('warning');
    expect(checkPeers([]).verdict).toBe('skipped');
  });
});

it('takes upstreams that are away for granted on a plane', () => {
  const upstreams = [{ id: 'https://c', trouble: 'https://c cannot be reached' }];
  expect(checkUpstreams(upstreams, true).verdict).toBe('fault');
  expect(checkUpstreams(upstreams, false).verdict).toBe('skipped');
  expect(checkUpstreams([...upstreams, { id: 'https://d', trouble: undefined }], true).verdict).toBe(
    'warning',
  );
});

describe('the settings of Nix', () => {
  it('say why they cannot be read', async () => {
    const stderr = "warning: old\nerror: syntax error in line 'x'\nTry 'nix --help' for more information.\n";
    await expect(nixSettings(async () => failed(stderr), {})).rejects.toThrow(
      "Nix refuses its configuration: syntax error in line 'x'",
    );
    await expect(nixSettings(async () => undefined, {})).rejects.toThrow('No Nix is on PATH.');
  });
});

describe('the report', () => {
  const all = [
    { name: 'keys', finding: ok('Both trust cache.nixos.org-1.') },
    {
      name: 'cache directory',
      finding: warning('It is nearly full, and that will be felt before long.', {
        cure: 'run: df',
        nixos: 'x = 1;',
      }),
    },
  ];

  it('has names beside facts where there is room', () => {
    expect(report(all, 80)).toBe(
      [
        '✓ keys             Both trust cache.nixos.org-1.',
        '! cache directory  It is nearly full, and that will be felt before long.',
        '                   → run: df',
        '                   → on NixOS: x = 1;',
        '',
      ].join('\n'),
    );
  });

  it('has facts below names where there is none', () => {
    expect(report(all, 40).split('\n')).toEqual([
      '✓ keys',
      '    Both trust cache.nixos.org-1.',
      '! cache directory',
      '    It is nearly full, and that will be',
      '    felt before long.',
      '    → run: df',
      '    → on NixOS: x = 1;',
      '',
    ]);
  });
});
