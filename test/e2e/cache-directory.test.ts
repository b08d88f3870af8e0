import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, smallClosure } from '../fixtures/closure.ts';
import { CacheCheck } from './harness/cache-check.ts';
import { makeClosure } from './harness/made-closure.ts';
import { narrowcast } from './harness/narrowcast.ts';
import { Nginx } from './harness/nginx.ts';
import { PacedUpstream } from './harness/paced-upstream.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { Random } from './harness/random.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

skippable(describe, privateStoreSkipReason())('the cache directory', () => {
  let small: Fixture;
  beforeAll(async () => {
    small = await smallClosure();
  });

  test('I7: is a binary cache for nix copy and nginx while the agent writes to it', {
    timeout: 120_000,
  }, async () => {
    await using directory = await TemporaryDirectory.create('directory');
    const random = Random.seeded('cache-directory');
    const sizes = Array.from(
      { length: 40 },
      () => 1 + random.below(random.pick([10_000, 1_000_000, 5_000_000])),
    );
    const other = await makeClosure(join(directory.path, 'other'), sizes, random);
    await using upstream = await Nginx.start(small.dir);
    await using slow = await PacedUpstream.start(other.dir, 4_000_000);
    const cache = join(directory.path, 'cache');
    await using relay = await RelayProcess.start({
      substituters: [upstream.url, slow.url],
      'trusted-public-keys': [small.publicKey, other.publicKey],
      cache: { dir: cache },
    });
    await using reader = await PrivateStore.create({
      options: { substituters: relay.url, 'trusted-public-keys': small.publicKey },
    });
    await reader.mustRun(['nix-store', '--realise', small.top]);

    // The agent takes another closure in, and is held at its end until all has been read.
    await using writer = await PrivateStore.create({
      options: { substituters: relay.url, 'trusted-public-keys': other.publicKey },
    });
    let writing = true;
    const written = writer.mustRun(['nix-store', '--realise', other.top]).finally(() => {
      writing = false;
    });
    await once(slow, 'nar');

    const check = new CacheCheck(cache);
    const checking = (async () => {
      let checks = 0;
      for (; writing; checks += 1) expect(await check.wrong()).toEqual([]);
      return checks;
    })();

    await using nginx = await Nginx.start(cache);
    for (const from of [`file://${cache}`, nginx.url]) {
      await using store = await PrivateStore.create({ options: { 'trusted-public-keys': small.publicKey } });
      await store.mustRun(['nix', 'copy', '--from', from, small.top]);
      await store.mustVerify(small.paths);
    }
    expect(writing).toBe(true);
    slow.bytesPerSecond = 100_000_000;
    await written;
    expect(await checking).toBeGreaterThan(10);

    // What the agent wrote meanwhile is there as well, once it has had the time to end.
    await relay.stop();
    const narinfos = (await readdir(cache)).filter((name) => name.endsWith('.narinfo'));
    expect(narinfos).toHaveLength(small.paths.length + other.paths.length);
    expect(await check.wrong()).toEqual([]);
  });

  test('is used by one narrowcast at a time, whichever way that one dies', { timeout: 60_000 }, async () => {
    await using directory = await TemporaryDirectory.create('directory');
    const cache = join(directory.path, 'cache');
    const config = { substituters: [], cache: { dir: cache } };
    const refusal = `The cache directory ${cache} is in use by another narrowcast`;
    const first = await RelayProcess.start(config);
    await using _ = first;

    await expect(RelayProcess.start(config)).rejects.toThrow(refusal);
    const fetch = await narrowcast(['fetch', small.top], config);
    expect([fetch.code, fetch.stdout]).toEqual([1, '']);
    expect(fetch.stderr).toContain(refusal);
    expect((await narrowcast(['scrub', '--repair'], config)).code).toBe(1);
    expect((await narrowcast(['scrub'], config)).code).toBe(0);
    // The first is none the worse for it.
    expect((await globalThis.fetch(`${first.url}/nix-cache-info`)).status).toBe(200);

    process.kill(first.pid, 'SIGKILL');
    await using second = await RelayProcess.start(config);
    expect((await globalThis.fetch(`${second.url}/nix-cache-info`)).status).toBe(200);
  });
});
