import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, largeClosure } from '../fixtures/closure.ts';
import { Builder } from './harness/builder.ts';
import { Pi } from './harness/pi.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';
import { UploadLink } from './harness/upload-link.ts';

const timeout = 300_000;

skippable(describe, privateStoreSkipReason())('narrowcast push over a link', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await largeClosure();
  }, 600_000);

  /** Bytes of the NARs that a cache has. */
  const narBytes = async (dir: string) => {
    const names = await readdir(join(dir, 'nar'));
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, 'nar', name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  };
  const substitutes = async (pi: Pi) => {
    const options = { substituters: pi.url, 'trusted-public-keys': fixture.publicKey };
    await using store = await PrivateStore.create({ options });
    await store.mustRun(['nix-store', '--realise', fixture.top]);
    await store.mustVerify(fixture.paths);
  };

  test('cut 20 times it sends at most 1.02 times the packed closure, and a second push next to nothing', {
    timeout,
  }, async () => {
    await using builder = await Builder.start(fixture);
    await using whole = await Pi.start(fixture);
    const first = await builder.push(whole, whole.netrc);
    expect(first.code, first.stderr).toBe(0);
    const packed = await narBytes(whole.dir);

    await using pi = await Pi.start(fixture);
    await using link = await UploadLink.start(pi.url);
    link.cutAt(Array.from({ length: 20 }, (_, n) => Math.floor(((n + 0.5) * packed) / 20)));
    const cut = await builder.push(link, pi.netrc);
    expect(cut.code, cut.stderr).toBe(0);
    expect(link.cuts).toBe(20);
    const sent = link.bytes;
    process.stderr.write(`cut 20 times: ${sent} bytes sent of ${packed} packed, ${sent / packed}\n`);
    expect(sent).toBeLessThanOrEqual(1.02 * packed);

    const again = await builder.push(link, pi.netrc);
    expect(again.code, again.stderr).toBe(0);
    process.stderr.write(`second push of ${fixture.paths.length} paths: ${link.bytes - sent} bytes sent\n`);
    expect(link.bytes - sent).toBeLessThanOrEqual((1024 * fixture.paths.length) / 100);
    await substitutes(pi);
  });

  test('it ends though the server is killed in the middle and comes back elsewhere', {
    timeout,
  }, async () => {
    await using directory = await TemporaryDirectory.create('pi-cache');
    const cacheDir = join(directory.path, 'cache');
    await using builder = await Builder.start(fixture);
    await using first = await Pi.start({ ...fixture, cacheDir });
    await using link = await UploadLink.start(first.url);
    const pushing = builder.push(link, first.netrc);
    await link.carried(20_000_000);
    process.kill(first.relay.pid, 'SIGKILL');
    await first.relay.stop();
    await using second = await Pi.start({ ...fixture, cacheDir });
    link.leadTo(second.url);
    const pushed = await pushing;
    expect(pushed.code, pushed.stderr).toBe(0);
    process.stderr.write(
      `server killed: ${link.bytes / (await narBytes(cacheDir))} times the packed closure\n`,
    );
    await substitutes(second);
  });
});
