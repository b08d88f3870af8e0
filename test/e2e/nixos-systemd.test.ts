import { stringify } from 'smol-toml';
import { beforeAll, describe, expect, test } from 'vitest';
import { generateKeyPair } from '../../agent/nix/secret-key.ts';
import { asNix, evaluate, nixos } from '../unit/nixos/evaluate.ts';
import { type Unit, unitFile } from '../unit/nixos/unit-files.ts';
import { boot, bootSkipReason, narrowcastThere } from './harness/booted.ts';
import { skippable } from './harness/skippable.ts';

const alone = { discover: false, advertise: false };
const laptop = {
  listen: 'localhost:6270',
  substituters: ['http://localhost:6271'],
  'netrc-file': '/etc/netrc',
  lan: { ...alone, listen: '' },
  cache: { dir: '/var/cache/narrowcast' },
};
const pi = {
  listen: 'localhost:6280',
  substituters: [],
  'netrc-file': '',
  lan: { ...alone, 'pull-through': true },
  cache: { dir: '/var/lib/static-nix-cache', 'max-age': '14d' },
  upload: { 'tokens-file': '/etc/tokens' },
};
const token = 'a-token-for-tests-only';

/** The units that the modules make, by the names of their files. The Pi's have names of their own, for both are on one machine here. */
async function units(): Promise<Record<string, Unit>> {
  const {
    pi: ofPi,
    ...others
  }: Record<string, Record<string, Unit>> = await evaluate(`let
    command = "${narrowcastThere}";
    user = "keeper";
    builder = import ${nixos}/builder-units.nix;
    secrets = { signingKeyFile = "/etc/key"; netrcFile = "/etc/netrc"; };
    agent = name: settings: more: import ${nixos}/units.nix ({ inherit command settings; configFile = "/etc/narrowcast/\${name}.toml"; } // more);
    onDisk = mountPoint: import ${nixos}/cache-unit.nix { dir = "/var/lib/static-nix-cache"; inherit mountPoint; };
    with' = unit: more: builtins.mapAttrs (name: section: section // more.\${name} or { }) unit;
    onPi = agent "pi" ${asNix(pi)} { inherit user; };
  in {
    pi = {
      "pi.socket" = onPi.socket;
      "pi.service" = with' onPi.service (onDisk null);
      "away.service" = with' onPi.service (onDisk "/var/lib/static-nix-cache");
    };
    laptop = let it = agent "laptop" ${asNix(laptop)} { }; in {
      "narrowcast.socket" = it.socket;
      "narrowcast.service" = it.service;
    };
    others = {
      "gc.service" = (import ${nixos}/static-cache-parts.nix).cleaning {
        inherit command user; configFile = "/etc/narrowcast/gc.toml"; dir = "/var/lib/other"; mountPoint = null; group = user;
      };
      "push.service" = builder.push (secrets // { inherit command user; queue = "queue"; to = [ "http://localhost:6271" ]; extraArgs = [ ]; });
      "build.service" = builder.build (secrets // {
        inherit user; host = "x"; script = "/opt/build"; deployKeyFile = null; timeout = "1min"; update = null; before = [ ];
      });
    };
  }`);
  const renamed = JSON.parse(JSON.stringify(ofPi).replaceAll('narrowcast.socket', 'pi.socket'));
  return Object.assign({}, renamed, ...Object.values(others));
}

const get = (url: string, ...options: string[]) =>
  `curl --silent --show-error --max-time 20 --write-out '%{http_code}\\n' ${options.join(' ')} ${url}`;
const show = (unit: string, ...properties: string[]) =>
  `systemctl show ${unit} --property=${properties.join(',')}`;
const cacheInfo = `${get('http://localhost:6270/nix-cache-info', '--output /dev/null')}`;

skippable(describe, bootSkipReason())('under a real systemd', () => {
  let said: Record<string, string>;
  beforeAll(async () => {
    const files = Object.entries(await units()).map(([name, unit]) => [
      `/etc/systemd/system/${name}`,
      unitFile(unit),
    ]);
    said = await boot({
      files: {
        ...Object.fromEntries(files),
        '/etc/narrowcast/laptop.toml': stringify(laptop),
        '/etc/narrowcast/pi.toml': stringify({ ...pi, upload: {} }),
        '/etc/narrowcast/gc.toml': stringify({ cache: { dir: '/var/lib/other', 'max-age': '14d' } }),
        '/etc/tokens': `builder:${token}\n`,
        '/etc/netrc': `machine localhost login builder password ${token}\n`,
        '/etc/key': generateKeyPair('test-1').secret,
        '/opt/build':
          '#!/bin/sh\nset -e\ngit init --quiet source\nnix --version\ncat "$CREDENTIALS_DIRECTORY/netrc"\n',
      },
      prepare: `
        chmod 644 etc/narrowcast/*
        rm -rf var/cache/narrowcast var/cache/private/narrowcast var/lib/static-nix-cache var/lib/other var/lib/narrowcast-builder
        mkdir -p var/lib/static-nix-cache/nar var/lib/other
        echo old > var/lib/static-nix-cache/nar/old.nar
        echo keeper:x:7777:7777::/var/lib/narrowcast-builder:/bin/sh >> etc/passwd
        echo keeper:x:7777: >> etc/group
        chown -R daemon: var/lib/static-nix-cache
        chown 7777:7777 var/lib/other`,
      units: ['narrowcast.socket', 'pi.service'],
      probes: {
        first: `systemctl is-active narrowcast.service; ${cacheInfo}; systemctl is-active narrowcast.service; ls /var/cache/narrowcast/`,
        process: `cat /proc/$(systemctl show narrowcast.service --property=MainPID --value)/status`,
        killed: `systemctl kill --signal=SIGKILL narrowcast.service; ${cacheInfo}; ${show('narrowcast.service', 'NRestarts')}`,
        restarted: `systemctl restart --no-block narrowcast.service; for nth in 1 2 3 4 5; do ${cacheInfo}; done`,
        pi: `${show('pi.service', 'ActiveState', 'User', 'StatusText')}; stat --format='%U %a' /var/lib/static-nix-cache /var/lib/static-nix-cache/nar/old.nar`,
        uploads: `${get('http://localhost:6271/roots', '--output /dev/null')}; ${get('http://localhost:6271/roots', `--user builder:${token}`)}`,
        away: `systemctl start away.service; ${show('away.service', 'AssertResult', 'ActiveState')}`,
        gc: `systemctl start gc.service; ${show('gc.service', 'Result')}; journalctl --unit=gc.service --output=cat --no-pager`,
        push: `systemctl start push.service; ${show('push.service', 'ActiveState', 'StatusText')}`,
        build: `systemctl start build.service; ${show('build.service', 'Result')}; journalctl --unit=build.service --output=cat --no-pager; ls /var/lib/narrowcast-builder/host/x`,
      },
    });
  }, 180_000);

  test('the first connection starts the laptop’s agent, which may write to its cache directory', () => {
    expect(said['first']).toMatch(/^inactive\n200\nactive\nlock\nnar\nnix-cache-info\n/);
  });

  test('its process has no capabilities, and no way to any', () => {
    expect(said['process']).toMatch(/^CapEff:\t0+$/m);
    expect(said['process']).toMatch(/^NoNewPrivs:\t1$/m);
    expect(said['process']).toMatch(/^Seccomp:\t2$/m);
    expect(said['process']).not.toMatch(/^Uid:\t0/m);
  });

  test('killed or started anew it refuses no connection', () => {
    expect(said['killed']).toBe('200\nNRestarts=1\n');
    expect(said['restarted']).toBe('200\n'.repeat(5));
  });

  test('the Pi’s takes over the directory that is there, which others may read', () => {
    expect(said['pi']).toContain('ActiveState=active\n');
    expect(said['pi']).toContain('StatusText=Listening at http://localhost:6280\n');
    expect(said['pi']).toMatch(/keeper 755\nkeeper 644\n$/);
  });

  test('it has the uploaders’ tokens, which only root may read', () => {
    expect(said['uploads']).toBe('401\n{}200\n');
  });

  test('with its disk away it is not started', () => {
    expect(said['away']).toContain('AssertResult=no\n');
    expect(said['away']).toContain('ActiveState=inactive\n');
  });

  test('what clears up, pushes and builds can do so', () => {
    expect(said['gc']).toMatch(/^Result=success\n(.*\n)*0 NARs of 0 paths removed/);
    expect(said['push']).toContain('ActiveState=active\n');
    expect(said['push']).toContain('StatusText=Pushing from /var/lib/narrowcast-builder/queue');
    expect(said['build']).toMatch(/^Result=success\n/);
    expect(said['build']).toContain(`password ${token}\n`);
    expect(said['build']).toContain('nix (Nix)');
    expect(said['build']).not.toContain('GC Warning');
    expect(said['build']).toMatch(/\nsource\n$/);
  });
});
