import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mustRun } from '../../e2e/harness/run-command.ts';
import { dir } from '../commands/narrowcast.ts';
import { asNix, evaluate, nixos } from './evaluate.ts';

type Section = Readonly<Record<string, string | number | boolean | readonly string[]>>;
type Unit = Readonly<Record<string, Section>>;

/** Sections as a unit file, in the way of NixOS: one line for each item of a list. */
function unitFile(unit: Unit): string {
  return Object.entries(unit)
    .map(([name, section]) => {
      const lines = Object.entries(section).flatMap(([key, value]) =>
        [value].flat().map((item) => `${key}=${item}`),
      );
      return [`[${name}]`, ...lines, ''].join('\n');
    })
    .join('\n');
}

const settings = { listen: 'localhost:6270', 'netrc-file': '', cache: { dir: '/var/cache/narrowcast' } };

async function units(changed: object = {}, more = ''): Promise<{ socket: Unit; service: Unit }> {
  return evaluate(
    `import ${nixos}/units.nix { command = "/bin/true"; configFile = "/etc/narrowcast.toml"; settings = ${asNix({ ...settings, ...changed })}; ${more} }`,
  );
}

/** Both as files, for systemd's own tools. */
async function written(changed: object = {}) {
  const directory = await mkdtemp(join(dir, 'units-'));
  const { socket, service } = await units(changed);
  const files = {
    socket: join(directory, 'narrowcast.socket'),
    service: join(directory, 'narrowcast.service'),
  };
  await writeFile(files.socket, unitFile(socket));
  await writeFile(files.service, unitFile(service));
  return files;
}

describe('systemd', () => {
  test.each([
    ['without netrc-file', {}],
    ['with netrc-file', { 'netrc-file': '/etc/nix/netrc' }],
  ])('finds nothing wrong with the units %s', async (_, changed) => {
    const { socket, service } = await written(changed);
    const { stdout, stderr } = await mustRun(['systemd-analyze', 'verify', '--man=false', socket, service]);
    // What it says of the units of this machine is not ours.
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('narrowcast'))).toEqual([]);
  });

  test('finds the service exposed by 2.5 at most', async () => {
    const { service } = await written();
    const security = ['systemd-analyze', 'security', '--offline=true', '--no-pager', service];
    const { stdout } = await mustRun([...security, '--threshold=25']);
    expect(stdout).toMatch(/Overall exposure level for narrowcast\.service: [0-2]\.\d OK/);
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
      CacheDirectory: 'nix/narrow',
      DynamicUser: true,
      ProtectSystem: 'strict',
    });
  });

  test('gets a copy of netrc-file, which its user may not read', async () => {
    const command = '/bin/true serve --config /etc/narrowcast.toml';
    expect(await service({})).toMatchObject({ ExecStart: command, LoadCredential: [] });
    expect(await service({ 'netrc-file': '/etc/nix/netrc' })).toMatchObject({
      ExecStart: `${command} --option netrc-file %d/netrc`,
      LoadCredential: ['netrc:/etc/nix/netrc'],
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
