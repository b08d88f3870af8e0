import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { generateKeyPair, parseSecretKey, sign } from '../../../agent/nix/secret-key.ts';
import { fingerprint } from '../../../agent/nix/signature.ts';
import { pathsOf, type Sample, sample, store, storeDir } from '../cache/support/sample.ts';
import { temporaryDirectory } from '../cache/support/temporary.ts';
import { exitOf, narrowcast, node, dir as scratch } from './narrowcast.ts';

const pair = generateKeyPair('test-1');
const secret = parseSecretKey(pair.secret);

function signedSample(): Sample {
  const one = sample({ compression: 'zstd' });
  const signatures = [sign(secret, fingerprint(one.narinfo, storeDir))];
  return { ...one, narinfo: { ...one.narinfo, signatures } };
}

/** A cache directory with these in it, which nobody has open. */
async function cacheWith(samples: readonly Sample[]): Promise<string> {
  const dir = await temporaryDirectory();
  const cache = await DiskCache.open({
    dir,
    storeDir,
    maxSize: 0,
    maxAge: 0,
    minFree: 0,
    compression: 'keep',
  });
  for (const one of samples) expect(await store(cache, one)).toBe(true);
  await cache.close();
  return dir;
}

function scrub(dir: string, ...args: string[]) {
  const settings = ['--option', 'cache.dir', dir, '--option', 'trusted-public-keys', pair.public];
  return narrowcast(['scrub', ...args, ...settings]);
}

async function flipBit(file: string): Promise<void> {
  const bytes = await readFile(file);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await writeFile(file, bytes);
}

test('a clean cache ends with 0 and a line', async () => {
  const dir = await cacheWith([signedSample(), signedSample()]);
  const { code, stdout, stderr } = await scrub(dir);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^2 narinfos and [\d.]+ (B|KiB) of NARs verified: nothing is wrong\n$/);
});

test('what is wrong is named and ends with 1; --repair sets it aside; then all is clean', async () => {
  const [good, bad] = [signedSample(), signedSample()];
  const dir = await cacheWith([good, bad]);
  const narinfo = `${bad.narinfo.storePath.hashPart}.narinfo`;
  await flipBit(pathsOf(dir, bad).nar);

  const found = await scrub(dir);
  expect([found.code, found.stdout]).toEqual([
    1,
    expect.stringMatching(`^wrong: ${narinfo}: .+\n2 narinfos`),
  ]);
  expect(found.stderr).toBe(
    "narrowcast: The cache has 1 fault, see above: 'narrowcast scrub --repair' sets aside and removes.\n",
  );
  expect(await readdir(dir)).toContain(narinfo);
  const json = await scrub(dir, '--json');
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({ checked: 2, wrong: [{ file: narinfo }], withoutNar: [] });

  const repaired = await scrub(dir, '--repair');
  expect([repaired.code, repaired.stdout]).toEqual([
    1,
    expect.stringMatching(`^wrong, set aside: ${narinfo}: .+\n2 narinfos`),
  ]);
  expect(await readdir(dir)).not.toContain(narinfo);
  expect((await readdir(join(dir, 'quarantine'))).sort()).toHaveLength(2);
  expect(await scrub(dir)).toMatchObject({ code: 0, stderr: '' });
});

test('what no trusted key has signed is told, and no fault', async () => {
  const stranger = sample();
  const dir = await cacheWith([stranger]);
  const { code, stdout } = await scrub(dir);
  expect(code).toBe(0);
  expect(stdout).toContain(
    `signed by no trusted key, so not served: ${stranger.narinfo.storePath.hashPart}.narinfo\n`,
  );
});

test('beside a running agent it looks, and refuses to repair', async () => {
  const dir = await cacheWith([signedSample()]);
  const agent = node([fileURLToPath(new URL('../cache/support/hold-cache.ts', import.meta.url)), dir]);
  onTestFinished(async () => {
    agent.kill('SIGKILL');
    await exitOf(agent);
  });
  await once(agent.stdout, 'data');
  expect(await scrub(dir)).toMatchObject({ code: 0, stderr: '' });
  expect(await scrub(dir, '--repair')).toEqual({
    code: 1,
    stdout: '',
    stderr: `narrowcast: A running narrowcast uses the cache directory ${dir}: stop it, or scrub without --repair to see what is wrong.\n`,
  });
});

test('a directory that is not there ends with 1 and is not made', async () => {
  const dir = join(scratch, 'no-cache');
  for (const args of [[], ['--repair']]) {
    expect(await scrub(dir, ...args)).toEqual({
      code: 1,
      stdout: '',
      stderr: `narrowcast: The cache directory ${dir} is not there or not for us to read.\n`,
    });
  }
  expect(await readdir(scratch)).not.toContain('no-cache');
});
