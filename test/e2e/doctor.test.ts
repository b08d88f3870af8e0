import { spawnSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { examined, type Illness } from './harness/doctors-patient.ts';
import { runCommand } from './harness/run-command.ts';
import { skippable } from './harness/skippable.ts';

const withNix = skippable(
  describe,
  spawnSync('nix', ['--version']).status === 0 ? undefined : 'No Nix is on PATH: the doctor cannot ask it.',
);
const otherKey = 'other-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const falseKey = 'cache.nixos.org-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const trueKey = 'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=';
const threeDays = 3 * 86_400_000;

/** A set-up that is broken in one way; the check that must find it, what it must say, and what must mend it. */
interface Case {
  readonly name: string;
  readonly illness: Illness;
  readonly check: string;
  readonly fact: RegExp;
  readonly cure: RegExp;
  /** `fault` when left out. */
  readonly verdict?: 'warning';
}

const cases: readonly Case[] = [
  {
    name: 'nix.conf that names another cache',
    illness: { nixConf: 'substituters = https://cache.nixos.org' },
    check: 'substituters',
    fact: /^Nix does not ask narrowcast at http:\/\/localhost:\d+: its substituters are https:\/\/cache\.nixos\.org/,
    cure: /conf\/nix\.conf: substituters = http:\/\/localhost:\d+$/m,
  },
  {
    name: 'extra-substituters beside it',
    illness: { nixConf: 'extra-substituters = https://one.example http://192.0.2.1:8080' },
    check: 'substituters',
    fact: /^Nix asks https:\/\/one\.example\/? and http:\/\/192\.0\.2\.1:8080\/? beside narrowcast/,
    cure: /substituters = \["https:\/\/one\.example\/?", "http:\/\/192\.0\.2\.1:8080\/?"\]/,
  },
  {
    name: 'nix.conf that has substitution off',
    illness: { nixConf: 'substitute = false' },
    check: 'substituters',
    fact: /substitute = false/,
    cure: /substitute = true/,
  },
  {
    name: "the user's own nix.conf",
    illness: { ownNixConf: 'extra-substituters = https://mine.example' },
    check: 'your nix.conf',
    fact: /^For you Nix asks https:\/\/mine\.example\/? as well, by .*\/\.config\/nix\/nix\.conf or NIX_CONFIG/,
    cure: /remove substituters/,
  },
  {
    name: 'NIX_CONFIG that goes round it',
    illness: { env: { NIX_CONFIG: 'substituters =' } },
    check: 'your nix.conf',
    fact: /^For you Nix does not ask narrowcast/,
    cure: /NIX_CONFIG/,
  },
  {
    name: 'nix.conf that Nix cannot read',
    illness: { nixConf: 'this is no setting' },
    check: 'nix',
    fact: /^Nix refuses its configuration: .*(illegal|syntax error in) configuration line/,
    cure: /correct .*conf\/nix\.conf/,
  },
  {
    name: 'trusted-substituters',
    illness: { nixConf: 'trusted-substituters = https://theirs.example' },
    check: 'trusted-substituters',
    fact: /https:\/\/theirs\.example/,
    cure: /trusted-substituters =$/m,
    verdict: 'warning',
  },
  {
    name: 'a key that Nix lacks',
    illness: { config: { 'trusted-public-keys': [trueKey, otherKey] } },
    check: 'keys',
    fact: /^Nix does not trust other-1/,
    cure: /extra-trusted-public-keys = other-1:A{43}=$/m,
  },
  {
    name: 'two keys of the same name',
    illness: { nixConf: `trusted-public-keys = ${falseKey}` },
    check: 'keys',
    fact: /different keys of the name cache\.nixos\.org-1/,
    cure: /compare trusted-public-keys/,
  },
  {
    name: 'a key that narrowcast lacks',
    illness: { nixConf: `extra-trusted-public-keys = ${otherKey}` },
    check: 'keys',
    fact: /^Nix trusts other-1 and narrowcast does not/,
    cure: /add it to trusted-public-keys/,
    verdict: 'warning',
  },
  {
    name: "Nix's default lifetimes",
    illness: { nixConf: { instead: `substituters = RELAY\nexperimental-features = nix-command` } },
    check: 'narinfo cache',
    fact: /remembers for 60 minutes/,
    cure: /narinfo-cache-negative-ttl = 30/,
  },
  {
    name: 'no fallback',
    illness: { nixConf: 'fallback = false' },
    check: 'fallback',
    fact: /^Should narrowcast fail, so does Nix/,
    cure: /fallback = true/,
    verdict: 'warning',
  },
  {
    name: 'no connect-timeout',
    illness: { nixConf: 'connect-timeout = 0' },
    check: 'connect-timeout',
    fact: /waits minutes/,
    cure: /connect-timeout = 5/,
    verdict: 'warning',
  },
  {
    name: 'no agent',
    illness: { agent: false },
    check: 'agent',
    fact: /^No narrowcast answers at port \d+: ECONNREFUSED/,
    cure: /systemctl start narrowcast\n.*narrowcast serve/,
  },
  {
    name: 'another program at the port',
    illness: { stranger: (_, response) => response.end('<html>') },
    check: 'agent',
    fact: /another program answers/,
    cure: /ss -ltnp/,
  },
  {
    name: 'an agent at one loopback only',
    illness: { agent: '127.0.0.1:0' },
    check: 'agent',
    fact: /answers at 127\.0\.0\.1 and not at ::1/,
    cure: /ListenStream=/,
  },
  {
    name: 'an agent of another version',
    illness: {
      stranger: (_, response) => response.end('{"schema":99,"version":"0.0.1","uptimeMs":1}'),
    },
    check: 'version',
    fact: /^The agent that runs is 0\.0\.1, this command is \d/,
    cure: /systemctl restart narrowcast/,
  },
  {
    name: 'a cache directory that cannot be made',
    illness: { agent: false, commands: { cache: { dir: '/dev/null/cache' } } },
    check: 'cache directory',
    fact: /^\/dev\/null\/cache cannot be written to: ENOTDIR/,
    cure: /cache\.dir/,
  },
  {
    name: 'a read-only cache directory',
    illness: { agent: false, enter: (argv, home) => readOnly(join(home, 'cache'), argv) },
    check: 'cache directory',
    fact: /cache cannot be written to: EROFS/,
    cure: /findmnt/,
  },
  {
    name: 'a disk without room',
    illness: { config: { cache: { dir: '/tmp', 'min-free': '1000TiB' } }, agent: false },
    check: 'cache directory',
    fact: /^\/tmp has .* free; cache\.min-free leaves that alone/,
    cure: /free space/,
  },
  {
    name: 'an upstream that is away',
    illness: { config: { substituters: ['http://127.0.0.1:9'] } },
    check: 'upstreams',
    fact: /^http:\/\/127\.0\.0\.1:9\/nix-cache-info cannot be reached: ECONNREFUSED/,
    cure: /curl -v http:\/\/127\.0\.0\.1:9\/nix-cache-info/,
  },
  {
    name: 'a login page in place of the upstream',
    illness: { upstream: (_, response) => response.end('<html>Welcome</html>\n') },
    check: 'upstreams',
    fact: /is not what its name says/,
    cure: /log in to the network/,
  },
  {
    name: 'an upstream of another store',
    illness: { upstream: (_, response) => response.end('StoreDir: /gnu/store\n') },
    check: 'upstreams',
    fact: /is a cache of \/gnu\/store, not of \/nix\/store/,
    cure: /correct substituters/,
  },
  {
    name: 'a netrc-file for all to read',
    illness: {
      agent: false,
      commands: { 'netrc-file': '/etc/hostname' },
    },
    check: 'netrc-file',
    fact: /^The passwords in \/etc\/hostname can be read by every user/,
    cure: /chmod o= \/etc\/hostname/,
  },
  {
    name: 'a netrc-file that is not there',
    illness: { agent: false, commands: { 'netrc-file': '/nowhere/netrc' } },
    check: 'netrc-file',
    fact: /cannot be read: ENOENT/,
    cure: /ls -l \/nowhere\/netrc/,
  },
  {
    name: 'a clock that is three days off',
    illness: {
      upstream(_, response) {
        response.setHeader('date', new Date(Date.now() - threeDays).toUTCString());
        response.end('StoreDir: /nix/store\n');
      },
    },
    check: 'clock',
    fact: /^Our clock is 3 days ahead of that of http:/,
    cure: /timedatectl/,
  },
  {
    name: 'a proxy between Nix and the agent',
    illness: { env: { http_proxy: 'http://proxy.example:3128', no_proxy: 'intranet.example' } },
    check: 'proxy',
    fact: /^Nix asks a proxy for localhost: http_proxy is set for you/,
    cure: /no_proxy=localhost/,
  },
  {
    name: 'avahi that keeps the mDNS port',
    illness: {
      agent: false,
      commands: { lan: { listen: '' } },
      enter: (argv, home) => withAvahi('[server]\ndisallow-other-stacks=yes\n', argv, home),
    },
    check: 'mDNS',
    fact: /^avahi keeps the mDNS port to itself/,
    cure: /disallow-other-stacks=no/,
  },
  {
    name: 'an answer that Nix remembers',
    illness: { nixConf: 'narinfo-cache-negative-ttl = 3600', before: askForNothing },
    check: 'remembered',
    fact: /^Nix remembers of a path that narrowcast did not have it/,
    cure: /--option narinfo-cache-negative-ttl 0\n.*rm .*binary-cache-v\d\.sqlite/,
    verdict: 'warning',
  },
  {
    name: 'a key of the configuration that does not exist',
    illness: { agent: false, commands: { colour: 'red' } },
    check: 'configuration',
    fact: /^colour = "red" .*there is no such key/,
    cure: /serve --help/,
  },
];

withNix('narrowcast doctor', () => {
  test('has nothing to mend where all is well, and says so with 0', async () => {
    const { outcome, checks } = await examined({});
    expect(checks.filter(({ verdict }) => verdict !== 'ok' && verdict !== 'skipped')).toEqual([]);
    const good = checks.filter(({ verdict }) => verdict === 'ok').map(({ name }) => name);
    for (const name of ['substituters', 'keys', 'agent', 'version', 'cache directory', 'upstreams', 'clock'])
      expect(good).toContain(name);
    expect([outcome.code, outcome.stderr]).toEqual([0, '']);
  });

  test.each(cases)('finds $name', async ({ illness, check, fact, cure, verdict = 'fault' }) => {
    const { outcome, checks } = await examined(illness);
    const found = checks.find(({ name }) => name === check);
    expect(found).toMatchObject({ verdict, fact: expect.stringMatching(fact) });
    expect(found?.cure.join('\n')).toMatch(cure);
    expect(outcome.code).toBe(checks.some((one) => one.verdict === 'fault') ? 1 : 0);
    if (verdict === 'fault') expect(outcome.stderr).toMatch(new RegExp(`see above: .*${check}`));
  });

  test('shows people each check with a sign, and what mends it', async () => {
    const { outcome } = await examined({ nixConf: 'fallback = false\nsubstitute = false' }, []);
    expect(outcome.stdout).toMatch(/^✗ substituters {2,}Nix takes nothing from caches/m);
    expect(outcome.stdout).toMatch(/^ +→ in .*nix\.conf:/m);
    expect(outcome.stdout).toMatch(/^! fallback /m);
    expect(outcome.stdout).toMatch(/^✓ agent /m);
    expect(outcome.stdout).toContain('→ on NixOS: nix.settings.substitute = true;');
    expect(outcome.stdout).not.toContain('\u001b');
    expect(outcome.code).toBe(1);
  });

  test('does not show the passwords in URLs', async () => {
    const { outcome } = await examined({ nixConf: 'substituters = https://user:hunter2@one.example' });
    expect(outcome.stdout).toContain('one.example');
    expect(outcome.stdout + outcome.stderr).not.toContain('hunter2');
  });
});

/** In a mount namespace where the directory is read-only. */
async function readOnly(dir: string, argv: readonly string[]): Promise<string[]> {
  const mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"';
  return ['unshare', '--mount', ...asRoot(), 'sh', '-c', mount, dir, ...argv];
}

/** In a mount namespace with that configuration of avahi. */
async function withAvahi(text: string, argv: readonly string[], home: string): Promise<string[]> {
  const dir = join(home, 'avahi');
  await mkdir(dir);
  await writeFile(join(dir, 'avahi-daemon.conf'), text);
  const mount = 'mount --bind "$0" /etc/avahi && exec "$@"';
  return ['unshare', '--mount', ...asRoot(), 'sh', '-c', mount, dir, ...argv];
}

function asRoot(): string[] {
  return process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
}

/** Real Nix asks the relay for a path that is nowhere, and remembers the answer. */
async function askForNothing(home: string, _relay: string, env: Readonly<Record<string, string>>) {
  await chmod(home, 0o755);
  const nowhere = `/nix/store/${'0'.repeat(32)}-nothing`;
  const { code } = await runCommand(['nix-store', '--realise', nowhere, '--store', join(home, 'store')], {
    env,
  });
  expect(code).not.toBe(0);
}
