import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, largeClosure } from '../fixtures/closure.ts';
import { Nginx } from './harness/nginx.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';

/** Ways in which real Nix takes a closure from the relay. */
const commands: readonly [name: string, argv: (url: string, top: string) => string[]][] = [
  ['nix copy', (url, top) => ['nix', 'copy', '--from', url, top]],
  ['nix-store -r', (_, top) => ['nix-store', '--realise', top]],
  ['nix build', (_, top) => ['nix', 'build', '--no-link', top]],
];

skippable(describe, privateStoreSkipReason())('with the relay as the only substituter', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await largeClosure();
  });

  test.for(commands)(
    '%s puts the whole closure into a fresh store',
    { timeout: 120_000 },
    async ([, argv]) => {
      await using nginx = await Nginx.start(fixture.dir);
      await using relay = await RelayProcess.start({
        substituters: [nginx.url],
        'trusted-public-keys': [fixture.publicKey],
      });
      await using store = await PrivateStore.create({
        options: { substituters: relay.url, 'trusted-public-keys': fixture.publicKey },
      });

      await store.mustRun(argv(relay.url, fixture.top));
      await store.mustVerify(fixture.paths);

      // Each NAR crossed the link behind the relay exactly once, whole.
      const nars = (await nginx.requests()).filter(({ uri }) => uri.startsWith('/nar/'));
      const crossed = nars.map(({ uri, bytes }) => `${uri} ${bytes}`);
      expect(crossed.sort()).toEqual(fixture.paths.map(({ url, fileSize }) => `/${url} ${fileSize}`).sort());
    },
  );
});
