import { describe, expect, test } from 'vitest';
import { skippable } from '../../e2e/harness/skippable.ts';
import { machine, withoutLibrary } from './machine.ts';

/** What a NixOS with the module and these definitions comes to: all that matters here, or one part of it. */
function evaluated(definitions: string, part = '') {
  return machine('laptop', definitions, part);
}

const nixosKey = 'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=';
const on = 'services.narrowcast.enable = true;';

skippable(describe, withoutLibrary)('services.narrowcast', () => {
  test('changes nothing until it is enabled', async () => {
    expect(await evaluated('')).toMatchObject({
      nix: { substituters: ['https://cache.nixos.org/'], 'trusted-public-keys': [nixosKey] },
      service: null,
      socket: null,
      file: {},
    });
  });

  test('takes one line: Nix asks narrowcast alone, and narrowcast asks whom Nix asked', async () => {
    const { nix, settings, service, socket, file, ...rest } = await evaluated(on);
    expect(rest).toMatchObject({ refusals: [], warnings: [], firewall: {} });
    expect(nix).toEqual({
      substituters: ['http://localhost:6270'],
      'extra-substituters': [],
      'trusted-public-keys': [nixosKey],
      'narinfo-cache-negative-ttl': 30,
      'narinfo-cache-positive-ttl': 30,
      fallback: true,
      'connect-timeout': 5,
      'builders-use-substitutes': true,
    });
    expect(settings).toMatchObject({
      substituters: ['https://cache.nixos.org/'],
      'trusted-public-keys': [nixosKey],
      cache: { 'max-size': '20GiB' },
      lan: { listen: '[::]:6271' },
    });
    expect(service).toMatchObject({
      wantedBy: ['multi-user.target'],
      stopIfChanged: false,
      serviceConfig: { ExecStart: '/narrowcast/bin/narrowcast serve --config /narrowcast.toml' },
      requires: ['narrowcast.socket'],
      path: ['/systemd'],
    });
    expect(socket).toMatchObject({
      wantedBy: ['sockets.target'],
      listenStreams: ['127.0.0.1:6270', '[::1]:6270'],
    });
    expect(file['narrowcast/config.toml']).toEqual({
      text: expect.stringContaining('substituters = ["https://cache.nixos.org/"]\n'),
      script: expect.stringContaining('/narrowcast/libexec/check-config $out\n'),
    });
  });

  test('moves what any module says of substituters and keys, in the order and strength that it says it with', async () => {
    const { nix, settings, warnings } = await evaluated(`${on}
      nix.settings = lib.mkMerge [
        { substituters = [ "http://pi" "http://localhost:6270/" "s3://bucket" ]; }
        { substituters = lib.mkIf false [ "http://never" ]; extra-substituters = [ "http://extra" ]; }
        { substituters = lib.mkBefore [ "http://first?priority=5" ]; extra-trusted-public-keys = [ "extra:key" ]; }
        { trusted-public-keys = [ "pi:key" ]; }
      ];`);
    expect(settings.substituters).toEqual([
      'http://first?priority=5',
      'http://pi',
      'https://cache.nixos.org/',
      'http://extra',
    ]);
    expect(new Set(settings['trusted-public-keys'])).toEqual(new Set([nixosKey, 'pi:key', 'extra:key']));
    expect(nix).toMatchObject({
      substituters: ['http://localhost:6270', 's3://bucket'],
      'extra-substituters': [],
    });
    expect(nix['trusted-public-keys']).toContain('pi:key');
    expect(warnings).toEqual([expect.stringContaining('cannot fetch from s3://bucket')]);
  });

  test('is not bypassed by a forced mirror, which it asks instead', async () => {
    const { nix, settings } = await evaluated(
      `${on} nix.settings.substituters = lib.mkForce [ "https://mirror" ];`,
    );
    expect([nix.substituters, settings.substituters]).toEqual([
      ['http://localhost:6270'],
      ['https://mirror'],
    ]);
  });

  test('lets everything else be overridden', async () => {
    const { nix, settings, socket, file } = await evaluated(`${on}
      nix.settings = { narinfo-cache-negative-ttl = 10; fallback = false; };
      networking.enableIPv6 = false;
      services.narrowcast.settings = {
        listen = "localhost:7000";
        substituters = [ "http://only" ];
        cache.max-age = "14d";
        some-new-key = [ 1 ];
      };`);
    expect(nix).toMatchObject({
      substituters: ['http://localhost:7000'],
      'narinfo-cache-negative-ttl': 10,
      fallback: false,
    });
    expect(settings).toMatchObject({
      substituters: ['http://only'],
      cache: { 'max-age': '14d', 'max-size': '20GiB' },
    });
    expect(socket.listenStreams).toEqual(['127.0.0.1:7000']);
    expect(file['narrowcast/config.toml'].text).toContain('some-new-key = [1]\n');
  });

  test('runs as a user that exists where one is named, with the directory in its place', async () => {
    const { service, users } = await evaluated(`${on} services.narrowcast = {
      user = "narrowcast";
      settings.cache.dir = "/var/lib/static-nix-cache";
    };`);
    expect(service.serviceConfig).toMatchObject({ User: 'narrowcast', StateDirectory: 'static-nix-cache' });
    expect(users).toEqual({
      users: { narrowcast: { isSystemUser: true, group: 'narrowcast' } },
      groups: { narrowcast: {} },
    });
  });

  test('tells the agent of a passed login page, and that the machine woke up', async () => {
    const { networkmanager, powerManagement } = await evaluated(on);
    const poke = '/systemd/bin/systemctl kill --kill-whom=main --signal=SIGUSR2 narrowcast.service || true';
    expect(powerManagement).toEqual({ resumeCommands: poke });
    const [{ source, type }] = networkmanager.dispatcherScripts;
    expect([source, type]).toEqual([expect.stringContaining('connectivity-change | up | vpn-up'), 'basic']);
    expect(source).toContain(poke);
  });

  test.each(['log-level = "loud"', 'cache.max-size = 5', 'lan.discover = "yes"', 'new = 1.5'])(
    'refuses the value in %s',
    async (wrong) => {
      await expect(evaluated(`${on} services.narrowcast.settings.${wrong};`)).rejects.toThrow(
        /is not of type/,
      );
    },
  );

  test('opens the firewall when asked to, as far as the LAN is used', async () => {
    const open = `${on} services.narrowcast.openFirewall = true;`;
    expect((await evaluated(open)).firewall).toEqual({ allowedTCPPorts: [6271], allowedUDPPorts: [5353] });
    const withoutLan =
      'services.narrowcast.settings.lan = { listen = ""; discover = false; advertise = false; };';
    expect((await evaluated(open + withoutLan)).firewall).toEqual({
      allowedTCPPorts: [],
      allowedUDPPorts: [],
    });
  });

  test('keeps Nix from asking a proxy for localhost', async () => {
    const proxied = `${on} networking.proxy.httpProxy = "http://proxy:3128";`;
    expect((await evaluated(proxied)).proxy.noProxy).toBe('localhost,127.0.0.1,::1');
    expect((await evaluated(on)).proxy.noProxy).toBe(null);
    const own = `${proxied} networking.proxy.noProxy = "example.org";`;
    expect((await evaluated(own)).refusals).toEqual([
      expect.stringContaining('noProxy must contain localhost'),
    ]);
    expect((await evaluated(own.replace('"example.org"', '"example.org,localhost"'))).refusals).toEqual([]);
  });

  test.each([
    ['services.narrowcast.settings.listen = "0.0.0.0:6270";', 'such as localhost:6270; it is 0.0.0.0:6270'],
    ['services.narrowcast.settings.listen = "localhost:0";', 'a port that is not 0'],
    ['services.narrowcast.settings.lan.listen = "[::]:6270";', 'both have 6270'],
    ['systemd.sockets.other.listenStreams = [ "[::]:6270" ];', 'port 6270 belongs to other already'],
    ['systemd.sockets.other.listenStreams = [ "6270" ];', 'port 6270 belongs to other already'],
    ['services.narrowcast.settings.trusted-public-keys = [ ];', 'to nix.settings.trusted-public-keys'],
    ['services.narrowcast.settings.cache.dir = "/mnt/usb";', 'must be beneath /var/cache'],
    ['services.narrowcast.settings.cache.dir = "/var/lib/cache";', 'must be beneath /var/cache'],
    ['services.narrowcast.settings.netrc-file = "/nix/store/x-netrc";', 'must not be in the store'],
    ['nix.extraOptions = "keep-outputs = true\\nsubstituters = http://x";', 'nix.extraOptions'],
    ['services.avahi.extraConfig = "disallow-other-stacks=yes";', 'remove it, or switch off lan.discover'],
  ])('refuses %s', async (definition, sentence) => {
    // The rest cannot be evaluated then, and need not: NixOS shows these sentences first.
    expect(await evaluated(on + definition, '.refusals')).toEqual([expect.stringContaining(sentence)]);
  });
});
