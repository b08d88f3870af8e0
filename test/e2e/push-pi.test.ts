import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, hashPartOf, largeClosure, pathNamed, smallClosure } from '../fixtures/closure.ts';
import { Builder } from './harness/builder.ts';
import { credentials, Pi } from './harness/pi.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';
import { UploadLink } from './harness/upload-link.ts';

const timeout = 120_000;

skippable(describe, privateStoreSkipReason())('narrowcast push to a Pi', () => {
  let large: Fixture;
  let small: Fixture;
  beforeAll(async () => {
    large = await largeClosure();
    small = await smallClosure();
  }, 600_000);

  const narinfos = async ({ dir }: Pi) => (await readdir(dir)).filter((name) => name.endsWith('.narinfo'));

  test('says what it would do, does it, names it, and reports', { timeout }, async () => {
    await using builder = await Builder.start(small);
    await using pi = await Pi.start(small);
    const dry = await builder.push(pi, pi.netrc, ['--dry-run']);
    expect(dry.code, dry.stderr).toBe(0);
    expect(dry.stdout).toContain(`would push ${small.top} (272 B)\n`);
    expect(dry.stdout).toMatch(/\n5 paths to push \(3\.\d MiB before compression\), 0 there\n$/);
    expect(await narinfos(pi)).toEqual([]);

    const root = ['--root', 'laptop', '--json', '--compression', 'xz', '--max-rate', '100KiB'];
    const pushed = await builder.push(pi, pi.netrc, root);
    expect(pushed.code, pushed.stderr).toBe(0);
    const report = JSON.parse(pushed.stdout);
    expect(report).toMatchObject({ to: pi.url, paths: 5, failed: [] });
    expect(report.pushed).toHaveLength(5);
    expect(report.pushed.reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0)).toBe(
      report.bytes,
    );
    expect(await narinfos(pi)).toHaveLength(5);
    const authorization = `Basic ${btoa(`${credentials.name}:${credentials.token}`)}`;
    const roots = await fetch(`${pi.url}/roots`, { headers: { authorization } });
    expect(await roots.json()).toEqual({ laptop: [{ time: expect.any(String), path: small.top }] });

    const again = await builder.push(pi, pi.netrc);
    expect(again.stdout).toMatch(/^0 paths pushed \(0 B in 0:0\d\), 5 there before, 0 failed\n$/);
  });

  test('a wrong token: 1, a sentence without it, and nothing is stored', { timeout }, async () => {
    await using builder = await Builder.start(small);
    await using pi = await Pi.start(small);
    const netrc = join(pi.dir, '..', 'wrong-netrc');
    await writeFile(netrc, 'machine 127.0.0.1 login builder password not-the-token\n');
    const { code, stdout, stderr } = await builder.push(pi, netrc);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(
      /^narrowcast: http:\/\/127\.0\.0\.1:\d+ answered 401 for the question for a closure: Uploads need/,
    );
    expect(stderr).not.toContain('not-the-token');
    expect(await narinfos(pi)).toEqual([]);
  });

  test('a path that is damaged is named, and what does not need it is pushed', { timeout }, async () => {
    await using builder = await Builder.start(small);
    await using pi = await Pi.start(small);
    const damaged = pathNamed(small, 'small-a').path;
    const file = builder.store.locate(damaged);
    await chmod(file, 0o644);
    await writeFile(file, (await readFile(file, 'utf8')).replace('7', '8'));
    await chmod(file, 0o444);
    const { code, stderr } = await builder.push(pi, pi.netrc);
    expect(code).toBe(1);
    expect(stderr).toContain(`not pushed: ${damaged}: ${damaged} is damaged: its NAR has the hash sha256:`);
    expect(stderr).toContain(`not pushed: ${small.top}: it refers to `);
    const whole = ['small-b', 'small-text'].map(
      (name) => `${hashPartOf(pathNamed(small, name).path)}.narinfo`,
    );
    expect((await narinfos(pi)).sort()).toEqual(whole.sort());
  });

  test('interrupted by Ctrl-C it ends with 130, and the next run goes on at that byte', {
    timeout,
  }, async () => {
    await using directory = await TemporaryDirectory.create('pid');
    await using builder = await Builder.start(large);
    await using pi = await Pi.start(large);
    await using link = await UploadLink.start(pi.url);
    const pidFile = join(directory.path, 'pid');
    const words = ['--to', link.url, '--netrc-file', pi.netrc, '--key-file', large.secretKeyFile];
    const command = builder.command(['push', large.top, ...words]);
    const first = builder.store.run(['sh', '-c', 'echo $$ > "$0"; exec "$@"', pidFile, ...command]);
    await link.carried(30_000_000);
    process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGINT');
    expect((await first).code).toBe(130);

    const second = await builder.push(link, pi.netrc);
    expect(second.code, second.stderr).toBe(0);
    const names = await readdir(join(pi.dir, 'nar'));
    const sizes = await Promise.all(
      names.map(async (name) => (await readFile(join(pi.dir, 'nar', name))).length),
    );
    const packed = sizes.reduce((sum, size) => sum + size, 0);
    process.stderr.write(`interrupted: ${link.bytes / packed} times the packed closure\n`);
    expect(link.bytes).toBeLessThanOrEqual(1.02 * packed);
    expect(await narinfos(pi)).toHaveLength(large.paths.length);
  });
});
