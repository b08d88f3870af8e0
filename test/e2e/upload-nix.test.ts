import { appendFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, largeClosure, smallClosure } from '../fixtures/closure.ts';
import { Builder } from './harness/builder.ts';
import { credentials, Pi } from './harness/pi.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const timeout = 180_000;

skippable(describe, privateStoreSkipReason())('nix copy --to the LAN face', () => {
  let large: Fixture;
  let small: Fixture;
  beforeAll(async () => {
    large = await largeClosure();
    small = await smallClosure();
  }, 600_000);

  const copy = ({ store }: Builder, pi: Pi, path: string, parameters: string) =>
    store.run(['nix', 'copy', '--to', `${pi.url}?${parameters}`, path], {
      options: { 'netrc-file': pi.netrc },
      timeoutMs: timeout,
    });
  const visible = async (pi: Pi) =>
    [...(await readdir(pi.dir)), ...(await readdir(join(pi.dir, 'nar')))].filter((name) =>
      /\.narinfo$|\.nar/.test(name),
    );
  const client = (pi: Pi, fixture: Fixture) =>
    PrivateStore.create({ options: { substituters: pi.url, 'trusted-public-keys': fixture.publicKey } });

  test('a closure of 60 paths is uploaded, and substituted from there', { timeout }, async () => {
    await using pi = await Pi.start(large);
    await using builder = await Builder.start(large);
    const signing = `compression=zstd&secret-key=${large.secretKeyFile}`;
    const first = await copy(builder, pi, large.top, signing);
    expect(first.code, first.stderr).toBe(0);
    expect((await visible(pi)).filter((name) => name.endsWith('.narinfo'))).toHaveLength(large.paths.length);
    expect(large.paths.length).toBeGreaterThanOrEqual(60);
    expect(await readdir(join(pi.dir, 'uploads'))).toEqual([]);

    await using store = await client(pi, large);
    await store.mustRun(['nix-store', '--realise', large.top]);
    await store.mustVerify(large.paths);

    const again = await copy(builder, pi, large.top, signing);
    expect(again.code, again.stderr).toBe(0);
  });

  test.for(['none', 'xz', 'gzip', 'zstd', 'br'])(
    'compression=%s with listings',
    { timeout },
    async (compression) => {
      await using pi = await Pi.start(small);
      await using builder = await Builder.start(small);
      const outcome = await copy(
        builder,
        pi,
        small.top,
        `compression=${compression}&write-nar-listing=true&secret-key=${small.secretKeyFile}`,
      );
      expect(outcome.code, outcome.stderr).toBe(0);
      await using store = await client(pi, small);
      await store.mustRun(['nix-store', '--realise', small.top]);
      await store.mustVerify(small.paths);
    },
  );

  test('a compression that cannot be verified is refused', { timeout }, async () => {
    await using pi = await Pi.start(small);
    await using builder = await Builder.start(small);
    const signing = `compression=bzip2&secret-key=${small.secretKeyFile}`;
    const outcome = await copy(builder, pi, small.top, signing);
    expect(outcome.code).not.toBe(0);
    expect(await visible(pi)).toEqual([]);
  });

  test('a wrong token: nothing is stored, and the right one is taken once the file has it', {
    timeout,
  }, async () => {
    await using pi = await Pi.start({ ...small, tokens: ['builder:another', 'not a line'] });
    await using builder = await Builder.start(small);
    const signing = `compression=zstd&secret-key=${small.secretKeyFile}`;
    const refused = await copy(builder, pi, small.top, signing);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('401');
    expect(await visible(pi)).toEqual([]);
    expect(await readdir(join(pi.dir, 'uploads'))).toEqual([]);
    const warning = await pi.relay.logged('lines of the tokens file are not NAME:TOKEN and are passed over');
    expect(warning['lines']).toEqual([3]);
    expect(JSON.stringify(pi.relay.logs())).not.toContain('another');

    await appendFile(pi.tokensFile, `${credentials.name}:${credentials.token}\n`);
    const taken = await copy(builder, pi, small.top, signing);
    expect(taken.code, taken.stderr).toBe(0);
  });

  test('unsigned paths are refused with the key that was expected', { timeout }, async () => {
    await using pi = await Pi.start(small);
    await using keys = await TemporaryDirectory.create('keys');
    await using builder = await Builder.start(small);
    const other = join(keys.path, 'other');
    await builder.store.mustRun([
      'nix-store',
      '--generate-binary-cache-key',
      'other-1',
      other,
      `${other}.pub`,
    ]);
    const path = await builder.store.mustRun(['nix-store', '--add', await fileWith(keys.path, 'unsigned')]);
    for (const parameters of ['compression=zstd', `compression=zstd&secret-key=${other}`]) {
      const outcome = await copy(builder, pi, path.stdout.trim(), parameters);
      expect(outcome.code).not.toBe(0);
      expect(outcome.stderr).toContain('403');
      expect(outcome.stderr).toContain('narrowcast-test-1');
    }
    expect(await visible(pi)).toEqual([]);
  });
});

async function fileWith(directory: string, text: string): Promise<string> {
  const file = join(directory, 'file');
  await writeFile(file, text);
  return file;
}
