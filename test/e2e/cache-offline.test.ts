import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, largeClosure, smallClosure } from '../fixtures/closure.ts';
import { decodableCopy } from './harness/decodable-copy.ts';
import { narrowcast } from './harness/narrowcast.ts';
import { Nginx } from './harness/nginx.ts';
import { Offline, offlineSkipReason } from './harness/offline.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

skippable(describe, privateStoreSkipReason() ?? offlineSkipReason())('from the warm cache', () => {
  let large: Fixture;
  let small: Fixture;
  beforeAll(async () => {
    [large, small] = await Promise.all([largeClosure(), smallClosure()]);
  });

  const configOf = (nginx: Nginx, fixture: Fixture, directory: TemporaryDirectory) => ({
    substituters: [nginx.url],
    'trusted-public-keys': [fixture.publicKey],
    cache: { dir: join(directory.path, 'cache') },
  });

  /** Substitutes a closure with real Nix on a machine without any network but loopback, and checks each byte of it. */
  async function substituteOffline(
    fixture: Fixture,
    config: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    await using offline = await Offline.start();
    await using relay = await RelayProcess.start(config, { inside: offline });
    const options = { substituters: relay.url, 'trusted-public-keys': fixture.publicKey };
    await using store = await PrivateStore.create({ inside: offline, options });
    await store.mustRun(['nix-store', '--realise', fixture.top]);
    await store.mustVerify(fixture.paths);
    const paths = fixture.paths.map(({ path }) => path);
    const { stdout } = await store.mustRun(['nix-store', '--query', '--hash', ...paths]);
    expect(stdout.trim().split('\n')).toEqual(fixture.paths.map(({ narHash }) => narHash));
  }

  test('a closure fetched once comes again, byte for byte, with every upstream gone', {
    timeout: 120_000,
  }, async () => {
    await using directory = await TemporaryDirectory.create('offline');
    const fixture = await decodableCopy(large, join(directory.path, 'upstream'));
    await using nginx = await Nginx.start(fixture.dir);
    const config = configOf(nginx, fixture, directory);
    {
      await using relay = await RelayProcess.start(config);
      const options = { substituters: relay.url, 'trusted-public-keys': fixture.publicKey };
      await using store = await PrivateStore.create({ options });
      await store.mustRun(['nix-store', '--realise', fixture.top]);
    }
    const asked = (await nginx.requests()).length;
    await substituteOffline(fixture, config);
    expect((await nginx.requests()).slice(asked)).toEqual([]);
  });

  test('fetch --closure warms it, once', { timeout: 120_000 }, async () => {
    await using directory = await TemporaryDirectory.create('fetch');
    await using nginx = await Nginx.start(small.dir);
    const config = configOf(nginx, small, directory);
    const nobodys = `/nix/store/${'0'.repeat(32)}-nobodys`;

    const first = await narrowcast(['fetch', '--closure', small.top, nobodys], config);
    expect(first.code).toBe(1);
    expect(first.stderr).toContain(`not fetched: ${nobodys}: nobody within reach has it\n`);
    expect(first.stdout).toMatch(/^5 paths fetched \(.*\), 0 there before, 1 failed$/m);

    const again = await narrowcast(['fetch', '--closure', small.top], config);
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect(again.stdout).toMatch(/^0 paths fetched \(0 B in .*\), 5 there before, 0 failed$/m);

    const nars = (await nginx.requests()).filter(({ uri }) => uri.startsWith('/nar/'));
    expect(nars.map(({ uri }) => uri).sort()).toEqual(small.paths.map(({ url }) => `/${url}`).sort());
    await substituteOffline(small, config);
  });

  test('fetch goes through the agent that runs', { timeout: 60_000 }, async () => {
    await using directory = await TemporaryDirectory.create('fetch');
    await using nginx = await Nginx.start(small.dir);
    const config = configOf(nginx, small, directory);
    await using relay = await RelayProcess.start(config);
    const listen = new URL(relay.url).host;

    const { code, stdout, stderr } = await narrowcast(['fetch', '--closure', small.top], {
      ...config,
      listen,
    });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^5 paths fetched/m);
    const known = await narrowcast(['scrub'], config);
    expect([known.code, known.stderr], known.stdout).toEqual([0, '']);
    expect(known.stdout).toMatch(/^5 narinfos/);
  });
});
