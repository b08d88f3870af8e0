import { describe, expect, test } from 'vitest';
import { asNix, evaluate, nixos } from './evaluate.ts';
import { complaints, exposure, extended, type Unit } from './unit-files.ts';

const settings = { listen: 'localhost:6270', 'netrc-file': '', cache: { dir: '/var/cache/narrowcast' } };

async function units(changed: object = {}, more = ''): Promise<{ socket: Unit; service: Unit }> {
  return evaluate(
    `import ${nixos}/units.nix { command = "/bin/true"; configFile = "/etc/narrowcast.toml"; settings = ${asNix({ ...settings, ...changed })}; ${more} }`,
  );
}

const dir = '/var/lib/static-nix-cache';

/** The units of a machine that is the LAN's cache. */
async function cacheUnits() {
  const tokens = { upload: { 'tokens-file': '/etc/nix/tokens' } };
  const { socket, service } = await units({ cache: { dir }, ...tokens }, 'user = "root";');
  const more: Unit = await evaluate(
    `import ${nixos}/cache-unit.nix { dir = "${dir}"; mountPoint = "${dir}"; }`,
  );
  return { socket, service: extended(service, more) };
}

/** The service that clears up beside nginx. */
function cleaning(): Promise<Unit> {
  return evaluate(`(import ${nixos}/static-cache-parts.nix).cleaning {
    command = "/bin/true"; configFile = "/etc/gc.toml"; dir = "${dir}"; mountPoint = null; user = "root"; group = "root";
  }`);
}

describe('systemd', () => {
  test.each([
    ['of a laptop', units],
    ['of a laptop with netrc-file', () => units({ 'netrc-file': '/etc/nix/netrc' })],
    ['of a cache for the LAN', cacheUnits],
  ])('finds nothing wrong with the units %s, which are exposed by 2.5 at most', async (_, make) => {
    const { socket, service } = await make();
    expect(await complaints({ 'narrowcast.socket': socket, 'narrowcast.service': service })).toEqual([]);
    expect(await exposure(service)).toBeLessThanOrEqual(2.5);
  });

  test('finds nothing wrong with the service that clears up, which is exposed by 2.5 at most', async () => {
    expect(await complaints({ 'narrowcast-gc.service': await cleaning() })).toEqual([]);
    expect(await exposure(await cleaning())).toBeLessThanOrEqual(2.5);
  });
});

/** The builder's services: of a flake, of two of its hosts, and of the queue. */
async function builderUnits(): Promise<Record<'update' | 'first' | 'second' | 'push', Unit>> {
  return evaluate(`let
    units = import ${nixos}/builder-units.nix;
    common = { script = "/bin/true"; user = "root"; deployKeyFile = "/etc/deploy"; timeout = "12h"; };
    host = common // { signingKeyFile = "/etc/key"; netrcFile = null; };
    update = "narrowcast-update.service";
  in {
    update = units.update (common // { flake = "systems"; });
    first = units.build (host // { host = "laptop"; inherit update; before = [ ]; });
    second = units.build (host // { host = "pi"; update = null; before = [ "narrowcast-first.service" ]; });
    push = units.push {
      command = "/bin/true"; user = "root"; queue = "queue"; to = [ "http://pi:6271" "http://server" ];
      signingKeyFile = "/etc/key"; netrcFile = null; extraArgs = [ "50%" "2 MiB" ];
    };
  }`);
}

describe('the builder', () => {
  test('is nothing wrong with to systemd, and exposed by 2.5 at most', async () => {
    const units = await builderUnits();
    const files = Object.entries(units).map(([name, unit]) => [`narrowcast-${name}.service`, unit]);
    expect(await complaints(Object.fromEntries(files))).toEqual([]);
    for (const unit of Object.values(units)) expect(await exposure(unit)).toBeLessThanOrEqual(2.5);
  });

  test('builds one host after the other, with new inputs where there are, whatever became of those before', async () => {
    const { first, second } = await builderUnits();
    const [online, update] = ['network-online.target', 'narrowcast-update.service'];
    expect(first['Unit']).toMatchObject({ Wants: [online, update], After: [online, update] });
    expect(second['Unit']).toMatchObject({ Wants: [online], After: [online, 'narrowcast-first.service'] });
    for (const { Unit } of [first, second]) expect(Unit).not.toHaveProperty('Requires');
  });

  test('has copies of the keys that it needs and that there are', async () => {
    const { update, first } = await builderUnits();
    expect((await builderUnits()).push['Service']).toMatchObject({
      ExecStart:
        '/bin/true --config /dev/null push-daemon --queue %S/narrowcast-builder/queue --spool-dir %S/narrowcast-builder/spool --key-file %d/signing-key "50%%" "2 MiB" --to "http://pi:6271" "http://server"',
      LoadCredential: ['signing-key:/etc/key'],
    });
    expect(update['Service']).toMatchObject({ LoadCredential: ['deploy-key:/etc/deploy'] });
    expect(first['Service']).toMatchObject({
      LoadCredential: ['deploy-key:/etc/deploy', 'signing-key:/etc/key'],
    });
  });
});

describe('the socket', () => {
  const listens = async (listen: string, more = '') =>
    (await units({ listen }, more)).socket['Socket']?.['ListenStream'];

  test('is at both loopback addresses, or at the one that there is or that was asked for', async () => {
    expect(await listens('localhost:6270')).toEqual(['127.0.0.1:6270', '[::1]:6270']);
    expect(await listens('localhost:6270', 'ipv6 = false;')).toEqual(['127.0.0.1:6270']);
    expect(await listens('127.0.0.2:1')).toEqual(['127.0.0.2:1']);
    expect(await listens('[::1]:65535')).toEqual(['[::1]:65535']);
  });

  test('has a name that the agent shows when it cannot use it', async () => {
    expect((await units()).socket['Socket']).toMatchObject({ FileDescriptorName: 'local' });
  });
});

describe('the service', () => {
  const service = async (changed: object) => (await units(changed)).service['Service'];

  test('may write to its cache directory, which systemd makes', async () => {
    expect(await service({ cache: { dir: '/var/cache/nix/narrow' } })).toMatchObject({
      CacheDirectory: 'nix/narrow narrowcast-compiled',
      DynamicUser: true,
      ProtectSystem: 'strict',
    });
  });

  test('has a place for what Node makes of the sources, wherever its cache directory is', async () => {
    expect(await service({ cache: { dir: '/var/lib/nix' } })).toMatchObject({
      StateDirectory: 'nix',
      CacheDirectory: 'narrowcast-compiled',
      Environment: 'NODE_COMPILE_CACHE=%C/narrowcast-compiled',
    });
  });

  test('gets a copy of netrc-file, which its user may not read', async () => {
    const command = '/bin/true serve --config /etc/narrowcast.toml';
    expect(await service({})).toMatchObject({ ExecStart: command, LoadCredential: [] });
    expect(await service({ 'netrc-file': '/etc/nix/netrc' })).toMatchObject({
      ExecStart: `${command} --option netrc-file %d/netrc-file`,
      LoadCredential: ['netrc-file:/etc/nix/netrc'],
    });
  });

  test('is restarted whenever it ends, and Nix is refused rather than kept waiting when it never starts', async () => {
    const { service } = await units();
    expect(service['Service']).toMatchObject({
      Type: 'notify',
      NotifyAccess: 'all',
      Restart: 'always',
      WatchdogSec: 60,
    });
    expect(service['Unit']).toMatchObject({ StartLimitIntervalSec: 120, StartLimitBurst: 10 });
  });
});
