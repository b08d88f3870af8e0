import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inParallel } from '../../agent/cache/in-parallel.ts';
import { generateKeyPair, parseSecretKey } from '../../agent/nix/secret-key.ts';
import { packed, Uploader } from '../unit/upload/support/uploader.ts';
import { CacheCheck } from './harness/cache-check.ts';
import { narrowcast } from './harness/narrowcast.ts';
import { credentials, Pi } from './harness/pi.ts';
import { Random } from './harness/random.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const kills = 50;

test(`kill -9 at ${kills} instants of uploads: nothing visible that is not whole and verified, and they end`, {
  timeout: 600_000,
}, async () => {
  const random = Random.seeded('upload-kill');
  const pair = generateKeyPair('builder-1');
  const key = parseSecretKey(pair.secret);
  await using directory = await TemporaryDirectory.create('killed-pi');
  const dir = join(directory.path, 'cache');
  const check = new CacheCheck(dir);
  const start = () => Pi.start({ publicKey: pair.public, cacheDir: dir });
  const uploader = (pi: Pi) =>
    new Uploader(Number(new URL(pi.url).port), `${credentials.name}:${credentials.token}`);
  const make = () =>
    packed([key], {
      contents: randomBytes(1 + random.below(3_000_000)),
      compression: random.pick(['none', 'gzip', 'zstd']),
    });
  const all = [];
  let pending: ReturnType<typeof make>[] = [];
  let interrupted = 0;

  for (let kill = 0; kill < kills; kill += 1) {
    await using pi = await start();
    const fresh = Array.from({ length: 4 }, make);
    all.push(...fresh);
    // Those that were cut go on where they stopped.
    const sent = [...pending.slice(0, 8), ...fresh];
    const pushes = Promise.allSettled(sent.map((path) => uploader(pi).push(path)));
    // Four uploads take some 100 ms on a machine at rest; most instants are among them.
    await new Promise((resolve) => setTimeout(resolve, random.below(300)));
    await pi.relay.kill();
    const results = await pushes;
    pending = [...pending.slice(8), ...sent.filter((_, n) => results[n]?.status === 'rejected')];
    interrupted += results.some(({ status }) => status === 'rejected') ? 1 : 0;
    expect(await check.wrong()).toEqual([]);
  }
  process.stdout.write(`  ${interrupted} of ${kills} kills cut an upload\n`);
  expect(interrupted).toBeGreaterThan(kills / 4);

  await using pi = await start();
  await inParallel(8, all, new AbortController().signal, (path) => uploader(pi).push(path));
  const names = await readdir(dir);
  for (const { narinfoPath } of all) expect(names).toContain(narinfoPath.slice(1));
  expect(await check.wrong()).toEqual([]);
  expect(await readdir(join(dir, 'uploads'))).toEqual([]);
  await pi.relay.stop();
  const scrubbed = await narrowcast(['scrub'], { cache: { dir }, 'trusted-public-keys': [pair.public] });
  expect(scrubbed, scrubbed.stdout).toMatchObject({ code: 0 });
});
