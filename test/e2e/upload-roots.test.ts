import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, hashPartOf, pathNamed, smallClosure } from '../fixtures/closure.ts';
import { narrowcast } from './harness/narrowcast.ts';
import { Pi } from './harness/pi.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';

skippable(describe, privateStoreSkipReason())('roots and garbage collection of a running Pi', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await smallClosure();
  }, 600_000);

  test('a root keeps a closure, and gc takes what nothing keeps', { timeout: 120_000 }, async () => {
    await using pi = await Pi.start({ publicKey: fixture.publicKey, cache: { 'max-age': '14d' } });
    await using builder = await PrivateStore.create();
    await builder.mustRun(['nix', 'copy', '--no-check-sigs', '--from', `file://${fixture.dir}`, fixture.top]);
    const copied = await builder.run(
      ['nix', 'copy', '--to', `${pi.url}?compression=zstd&secret-key=${fixture.secretKeyFile}`, fixture.top],
      { options: { 'netrc-file': pi.netrc } },
    );
    expect(copied.code, copied.stderr).toBe(0);
    const elsewhere = ['--to', pi.url, '--netrc-file', pi.netrc];
    const cache = { dir: pi.dir, 'max-age': '14d', 'min-free': '0' };
    const run = (args: readonly string[], listen = 'localhost:0') => narrowcast(args, { cache, listen });
    const running = new URL(pi.relay.url).host;
    const a = pathNamed(fixture, 'small-a').path;

    const absent = fixture.top.replace(/\/nix\/store\/.{32}/, `/nix/store/${'0'.repeat(32)}`);
    const refused = await run(['root', 'set', 'laptop', absent, ...elsewhere]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('0'.repeat(32)) });
    expect(await run(['root', 'set', 'a/b', a, ...elsewhere])).toMatchObject({ code: 1 });
    const wrong = join(pi.dir, '..', 'wrong-netrc');
    await writeFile(wrong, 'machine 127.0.0.1 login builder password wrong\n');
    const denied = await run(['root', 'set', 'laptop', a, '--to', pi.url, '--netrc-file', wrong]);
    expect(denied.code).toBe(1);

    expect(await run(['root', 'set', 'laptop', a, ...elsewhere])).toMatchObject({
      code: 0,
      stderr: '',
    });
    const listed = await run(['root', 'list', '--json', ...elsewhere]);
    expect(JSON.parse(listed.stdout)).toEqual({ laptop: [{ time: expect.any(String), path: a }] });
    expect((await run(['root', 'list'])).stdout).toContain(a);

    // A month later.
    const old = Date.now() / 1000 - 30 * 86_400;
    const nars = await readdir(join(pi.dir, 'nar'));
    for (const nar of nars) await utimes(join(pi.dir, 'nar', nar), old, old);
    const dry = await run(['gc', '--dry-run']);
    expect(dry).toMatchObject({ code: 0 });
    expect(dry.stdout).toMatch(/small-top: .* last used 30 days ago: older than cache\.max-age/);
    expect(dry.stdout).toMatch(/old, but they stay: [1-9]/);
    expect(dry.stdout).not.toContain(`${hashPartOf(a)}`);
    expect(await readdir(join(pi.dir, 'nar'))).toEqual(nars);

    // Neither does an agent that remembers later uses let go, nor one that cannot be asked.
    expect(await run(['gc'], 'localhost:1')).toMatchObject({ code: 1 });
    const collected = await run(['gc'], running);
    expect(collected).toMatchObject({ code: 0, stdout: expect.stringContaining('removed') });
    await pi.relay.stop();
    expect((await run(['gc'])).stdout).toMatch(/^[1-9]\d* NARs? of [1-9]\d* paths? removed/);
    const here = (await readdir(pi.dir)).filter((name) => name.endsWith('.narinfo'));
    expect(here).toContain(`${hashPartOf(a)}.narinfo`);
    expect(here).not.toContain(`${hashPartOf(fixture.top)}.narinfo`);

    expect(await run(['root', 'remove', 'laptop'])).toMatchObject({ code: 0 });
    expect(await run(['root', 'remove', 'laptop'])).toMatchObject({ code: 1 });
    await run(['gc']);
    expect((await readdir(pi.dir)).filter((name) => name.endsWith('.narinfo'))).toEqual([]);
  });
});
