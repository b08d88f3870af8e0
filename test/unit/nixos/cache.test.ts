import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../../agent/config/load.ts';
import { skippable } from '../../e2e/harness/skippable.ts';
import { dir } from '../commands/narrowcast.ts';
import { asNix, evaluate, nixos } from './evaluate.ts';
import { machine, withoutLibrary } from './machine.ts';

test('a directory is on the innermost disk beneath which it is', async () => {
  const of = (mountPoints: readonly string[], dir: string) =>
    evaluate(`(import ${nixos}/disk.nix).mountPointOf ${asNix(mountPoints)} ${asNix(dir)}`);
  const disks = ['/', '/boot', '/mnt/usb', '/mnt/usb/cache', '/var/lib/static'];
  expect(await of(disks, '/var/lib/static-nix-cache')).toBe(null);
  expect(await of(disks, '/var/lib/static')).toBe('/var/lib/static');
  expect(await of(disks, '/mnt/usb/cached')).toBe('/mnt/usb');
  expect(await of(disks, '/mnt/usb/cache/nix')).toBe('/mnt/usb/cache');
});

/** The agent's reading of a configuration file. */
async function loaded(toml: string) {
  const file = join(await mkdtemp(join(dir, 'config-')), 'config.toml');
  await writeFile(file, toml);
  return loadConfig({ systemFile: '/nonexistent', env: {}, root: true, file });
}

const on = 'services.narrowcast.cache.enable = true;';
const disk = 'fileSystems."/" = { }; fileSystems."/var/lib/static-nix-cache" = { };';

skippable(describe, withoutLibrary)('services.narrowcast.cache', () => {
  test('changes nothing until it is enabled', async () => {
    expect(await machine('cache', disk)).toMatchObject({ service: null, socket: null, firewall: {} });
  });

  test('takes one line: the directory that is there is served to the LAN and filled from where Nix fetched', async () => {
    const { settings, service, firewall, refusals, warnings, nix } = await machine('cache', on);
    expect([refusals, warnings]).toEqual([[], []]);
    expect(settings).toMatchObject({
      substituters: ['https://cache.nixos.org/'],
      cache: { dir: '/var/lib/static-nix-cache', 'max-age': '14d', 'max-size': '0' },
      lan: { 'pull-through': true, 'share-keys': ['cache.nixos.org-1'], listen: '[::]:6271' },
    });
    expect(nix.substituters).toEqual(['http://localhost:6270']);
    expect(firewall).toEqual({ allowedTCPPorts: [6271], allowedUDPPorts: [5353] });
    expect(service).toMatchObject({
      serviceConfig: {
        User: 'narrowcast',
        StateDirectory: 'static-nix-cache',
        StateDirectoryMode: '0755',
        MemoryHigh: '50%',
      },
      wantedBy: ['multi-user.target'],
    });
    expect(service.serviceConfig).not.toHaveProperty('DynamicUser');
    expect(service.unitConfig).not.toHaveProperty('AssertPathIsMountPoint');
  });

  test('writes a configuration that the agent takes as it is meant', async () => {
    const { file } = await machine('cache', on);
    expect(await loaded(file['narrowcast/config.toml'].text)).toMatchObject({
      cache: { dir: '/var/lib/static-nix-cache', maxSize: 0, maxAge: 14 * 86_400_000 },
      lan: { pullThrough: true, shareKeys: new Set(['cache.nixos.org-1']) },
    });
  });

  test('shows the LAN what the keys that it trusts have signed', async () => {
    const { settings } = await machine(
      'cache',
      `${on} nix.settings.trusted-public-keys = [ "home-1:AAAA" ];`,
    );
    expect(settings.lan['share-keys'].sort()).toEqual(['cache.nixos.org-1', 'home-1']);
  });

  test('waits for the disk that the directory is on, and comes back with it', async () => {
    const { service } = await machine('cache', on + disk);
    expect(service.unitConfig).toMatchObject({
      RequiresMountsFor: ['/var/lib/static-nix-cache'],
      AssertPathIsMountPoint: '/var/lib/static-nix-cache',
    });
    expect(service.wantedBy.sort()).toEqual(['multi-user.target', 'var-lib-static\\x2dnix\\x2dcache.mount']);
  });

  test('gets a copy of the uploaders’ tokens, which are not in the store', async () => {
    const tokens = (file: string) => `${on} services.narrowcast.settings.upload.tokens-file = "${file}";`;
    const { service } = await machine('cache', tokens('/etc/nix/tokens'));
    expect(service.serviceConfig).toMatchObject({
      ExecStart:
        '/narrowcast/bin/narrowcast serve --config /narrowcast.toml --option upload.tokens-file %d/upload.tokens-file',
      LoadCredential: ['upload.tokens-file:/etc/nix/tokens'],
    });
    expect(await machine('cache', tokens('/nix/store/x-tokens'), '.refusals')).toEqual([
      expect.stringContaining('must not be in the store'),
    ]);
  });

  test('lets all of it be overridden', async () => {
    const { settings, service, firewall } = await machine(
      'cache',
      `services.narrowcast = {
        cache.enable = true;
        openFirewall = false;
        cache.mountPoint = "/var/cache";
        settings = { cache.dir = "/var/cache/nix"; cache.max-age = "60d"; lan.share-keys = [ ]; };
      };
      systemd.services.narrowcast.serviceConfig.MemoryMax = "300M";`,
    );
    expect(settings).toMatchObject({ cache: { 'max-age': '60d' }, lan: { 'share-keys': [] } });
    expect(firewall).toEqual({});
    expect(service).toMatchObject({
      unitConfig: { AssertPathIsMountPoint: '/var/cache' },
      serviceConfig: { CacheDirectory: 'nix narrowcast-compiled', MemoryMax: '300M' },
    });
  });
});

skippable(describe, withoutLibrary)('services.narrowcast.staticCache', () => {
  const enabled = 'services.narrowcast.staticCache.enable = true;';

  test('takes one line: nginx shows the directory, avahi announces it, a timer clears it up', async () => {
    const { nginx, avahi, firewall, services, timers, tmpfiles, users, refusals } = await machine(
      'static-cache',
      enabled,
    );
    expect(refusals).toEqual([]);
    expect(nginx).toMatchObject({
      enable: true,
      virtualHosts: {
        'nix-cache': {
          default: true,
          listen: [
            { addr: '0.0.0.0', port: 80 },
            { addr: '[::]', port: 80 },
          ],
          locations: { '= /nix-cache-info': { extraConfig: 'root /var/lib/static-nix-cache;' } },
        },
      },
    });
    expect(avahi).toMatchObject({
      enable: true,
      publish: { enable: true, userServices: true },
      extraServiceFiles: { 'nix-cache': expect.stringContaining('<port>80</port>') },
    });
    expect(firewall).toEqual({ allowedTCPPorts: [80] });
    expect(services['narrowcast-gc']).toMatchObject({
      startAt: 'daily',
      serviceConfig: { User: 'narrowcast', ReadWritePaths: ['/var/lib/static-nix-cache'] },
    });
    expect(services['narrowcast-gc'].serviceConfig.ExecStart).toContain('max-age = "14d"');
    expect(timers['narrowcast-gc']).toEqual({ timerConfig: { Persistent: true } });
    expect(tmpfiles.rules).toEqual(['d /var/lib/static-nix-cache 0755 narrowcast narrowcast -']);
    expect(users.users).toEqual({ narrowcast: { isSystemUser: true, group: 'narrowcast' } });
  });

  test('writes a configuration for clearing up that narrowcast takes as it is meant', async () => {
    const { services } = await machine('static-cache', enabled);
    const [, toml = ''] = services['narrowcast-gc'].serviceConfig.ExecStart.split('.toml: ');
    expect(await loaded(toml)).toMatchObject({
      cache: { dir: '/var/lib/static-nix-cache', maxSize: 0, maxAge: 14 * 86_400_000 },
    });
  });

  test('makes nothing in place of a disk that is away, and leaves a user that exists as it is', async () => {
    const { services, tmpfiles, users } = await machine(
      'static-cache',
      `${enabled} ${disk} services.narrowcast.staticCache.user = "builder";`,
    );
    expect(services['narrowcast-gc'].unitConfig).toEqual({
      RequiresMountsFor: ['/var/lib/static-nix-cache'],
      AssertPathIsMountPoint: '/var/lib/static-nix-cache',
    });
    expect(tmpfiles).toEqual({});
    expect(users.users).toEqual({});
  });

  test.each([
    ['services.narrowcast.cache.enable = true;', 'switch off one of staticCache and cache'],
    [`${disk} fileSystems."/var/lib/static-nix-cache".options = [ "noatime" ];`, 'without noatime'],
  ])('refuses %s', async (definition, sentence) => {
    const both = 'options.services.narrowcast.cache.enable = lib.mkEnableOption "the other";';
    expect(
      await machine('static-cache', `${both} config = { ${enabled} ${definition} };`, '.refusals'),
    ).toEqual([expect.stringContaining(sentence)]);
  });
});
