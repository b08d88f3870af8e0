import { describe, expect, test } from 'vitest';
import { skippable } from '../../e2e/harness/skippable.ts';
import { machine, withoutLibrary } from './machine.ts';

const on = `services.narrowcast.builder = {
  enable = true;
  to = "http://pi:6271";
  signingKeyFile = "/etc/nix/key";
  netrcFile = "/etc/nix/netrc";
  onFailure = [ "mail-about@%n.service" ];
  flakes.systems = {
    url = "ssh://git@example.org/systems.git";
    hosts = [ "laptop" "pi" ];
    update = true;
    deployKeyFile = "/etc/nix/deploy-key";
  };
};`;
const other = (more: string) =>
  `${on} imports = [ { services.narrowcast.builder.flakes.other = { url = "/other"; ${more} }; } ];`;

skippable(describe, withoutLibrary)('services.narrowcast.builder', () => {
  test('makes nothing until it is enabled', async () => {
    const { services, timers } = await machine('builder', '');
    expect([services, timers]).toEqual([{}, {}]);
  });

  test('has a service and a timer for each host, and one service that updates the flake', async () => {
    const { services, timers, users, refusals } = await machine('builder', on);
    expect(refusals).toEqual([]);
    expect(Object.keys(services).sort()).toEqual([
      'narrowcast-build-laptop',
      'narrowcast-build-pi',
      'narrowcast-update-systems',
    ]);
    expect(services['narrowcast-build-pi']).toMatchObject({
      wants: ['network-online.target', 'narrowcast-update-systems.service'],
      after: [
        'network-online.target',
        'narrowcast-update-systems.service',
        'narrowcast-build-laptop.service',
      ],
      startAt: '02:00',
      onFailure: ['mail-about@%n.service'],
      restartIfChanged: false,
      path: ['/nix', '/git', '/openssh'],
      serviceConfig: {
        User: 'narrowcast-builder',
        WorkingDirectory: '/var/lib/narrowcast-builder/host/pi',
        LoadCredential: [
          'deploy-key:/etc/nix/deploy-key',
          'signing-key:/etc/nix/key',
          'netrc:/etc/nix/netrc',
        ],
      },
    });
    const { ExecStart } = services['narrowcast-build-pi'].serviceConfig;
    expect(ExecStart).toContain("git fetch --quiet 'ssh://git@example.org/systems.git' 'refs/heads/main'");
    expect(ExecStart).toContain(
      "exec '/narrowcast/bin/narrowcast' '--config' '/dev/null' 'push' '--to' 'http://pi:6271' '--root' 'pi' \"$@\"",
    );
    expect(services['narrowcast-update-systems']).not.toHaveProperty('startAt');
    expect(timers).toEqual({
      'narrowcast-build-laptop': { timerConfig: { Persistent: true } },
      'narrowcast-build-pi': { timerConfig: { Persistent: true } },
    });
    expect(users.users).toEqual({
      'narrowcast-builder': {
        isSystemUser: true,
        group: 'narrowcast-builder',
        home: '/var/lib/narrowcast-builder',
      },
    });
  });

  test('builds flakes of several kinds, each for its cache', async () => {
    const { services, refusals } = await machine(
      'builder',
      other('hosts = [ "server" ]; to = "http://server"; branch = "stable"; startAt = "weekly";'),
    );
    expect(refusals).toEqual([]);
    const { serviceConfig, startAt, wants } = services['narrowcast-build-server'];
    expect(startAt).toBe('weekly');
    expect(wants).toEqual(['network-online.target']);
    expect(serviceConfig.ExecStart).toContain("'refs/heads/stable'");
    expect(serviceConfig.ExecStart).toContain("'--to' 'http://server'");
  });

  test('pushes all that is built here where that is wanted', async () => {
    const { services, nix } = await machine(
      'builder',
      `imports = [ { services.narrowcast.builder.queue.enable = true; } ]; ${on}`,
    );
    expect(services['narrowcast-push']).toMatchObject({
      wantedBy: ['multi-user.target'],
      onFailure: ['mail-about@%n.service'],
      path: ['/nix', '/systemd'],
      serviceConfig: { ExecStart: expect.stringMatching(/ --to "http:\/\/pi:6271"$/) },
    });
    expect(nix['post-build-hook']).toContain("NARROWCAST_QUEUE='/var/lib/narrowcast-builder/queue'");
    expect((await machine('builder', on)).nix).not.toHaveProperty('post-build-hook');
  });

  test('refuses a host of two flakes, and secrets in the store', async () => {
    expect(await machine('builder', other('hosts = [ "pi" ];'), '.refusals')).toEqual([
      expect.stringContaining('flakes: pi must be a host of one flake only'),
    ]);
    const open = other('hosts = [ ]; deployKeyFile = "/nix/store/x-deploy-key";');
    expect(await machine('builder', open, '.refusals')).toEqual([
      expect.stringContaining('/nix/store/x-deploy-key must not be in the store'),
    ]);
  });

  test('refuses a host whose name could be more than a name', async () => {
    await expect(machine('builder', other('hosts = [ "../etc" ];'))).rejects.toThrow(/is not of type/);
  });
});
