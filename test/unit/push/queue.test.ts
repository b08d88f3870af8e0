import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Queue } from '../../../agent/push/queue.ts';
import { temporaryDirectory } from './run-push.ts';

const path = (letter: string) => `/nix/store/${letter.repeat(32)}-x`;
const hook = join(import.meta.dirname, '../../../docs/post-build-hook');

/** Every job for a server, as its paths. */
async function jobsFor(queue: Queue, server: string): Promise<string[][]> {
  const jobs = await queue.next(server, 100);
  return jobs.map(({ paths }) => paths.map(({ hashPart }) => hashPart.charAt(0)));
}

describe('a queue', () => {
  test('hands each job to each server, and forgets it for one without the other', async () => {
    const queue = await Queue.open(temporaryDirectory(), '/nix/store', ['a', 'b']);
    await queue.add([path('a'), path('b')]);
    expect(await queue.handOut()).toBe(0);
    expect(await jobsFor(queue, 'a')).toEqual([['a', 'b']]);
    const [job] = await queue.next('a', 1);
    await queue.done('a', job?.name ?? '');
    expect([await jobsFor(queue, 'a'), await jobsFor(queue, 'b')]).toEqual([[], [['a', 'b']]]);
    const later = await Queue.open(queue.dir, '/nix/store', ['b']);
    expect(await jobsFor(later, 'b')).toEqual([['a', 'b']]);
  });

  test('gives the oldest first, and a postponed job last', async () => {
    const queue = await Queue.open(temporaryDirectory(), '/nix/store', ['a']);
    for (const [n, letter] of ['c', 'b', 'a'].entries()) {
      writeFileSync(join(queue.dir, letter), path(letter));
      await queue.handOut();
      execFileSync('touch', ['-d', `@${1_000 + n}`, join(queue.dir, '.to/a', letter)]);
    }
    expect(await jobsFor(queue, 'a')).toEqual([['c'], ['b'], ['a']]);
    await queue.postpone('a', 'c');
    expect((await queue.next('a', 2)).map(({ name }) => name)).toEqual(['b', 'a']);
  });

  test('passes over what is unfinished, no store path, or no file', async () => {
    const dir = temporaryDirectory();
    const queue = await Queue.open(dir, '/nix/store', ['a']);
    writeFileSync(join(dir, '.unfinished'), path('a'));
    writeFileSync(join(dir, 'empty'), '');
    writeFileSync(join(dir, 'words'), `rm -rf / ../../etc ${path('b')}/bin ${path('c')}`);
    writeFileSync(join(dir, 'binary'), Buffer.alloc(1_000_000, 255));
    await queue.handOut();
    expect(await jobsFor(queue, 'a')).toEqual([['c']]);
    expect(readdirSync(dir).sort()).toEqual(['.to', '.unfinished']);
    expect(readdirSync(join(dir, '.to/a'))).toEqual(['words']);
  });

  test('holds 10,000 jobs for each server, and says how many found no room', async () => {
    const dir = temporaryDirectory();
    const queue = await Queue.open(dir, '/nix/store', ['a', 'b']);
    for (let n = 0; n < 10_000; n++) writeFileSync(join(dir, '.to/a', `old-${n}`), path('a'));
    writeFileSync(join(dir, 'new'), path('b'));
    expect(await queue.handOut()).toBe(1);
    expect(await jobsFor(queue, 'b')).toEqual([['b']]);
  });
});

describe('docs/post-build-hook', () => {
  const run = (dir: string, env: Record<string, string> = {}) =>
    execFileSync(hook, {
      env: {
        PATH: '/usr/bin:/bin',
        NARROWCAST_QUEUE: dir,
        DRV_PATH: `${path('d')}.drv`,
        OUT_PATHS: `${path('a')} ${path('b')}`,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    }).toString();

  test('leaves a job, once for each derivation', async () => {
    const queue = await Queue.open(temporaryDirectory(), '/nix/store', ['a']);
    for (let n = 0; n < 3; n++) run(queue.dir);
    expect(readdirSync(queue.dir).filter((name) => name !== '.to')).toHaveLength(1);
    await queue.handOut();
    expect(await jobsFor(queue, 'a')).toEqual([['a', 'b']]);
  });

  test('succeeds though there is no queue, or no room in it', () => {
    run('/nowhere/at/all');
    const full = temporaryDirectory();
    for (let n = 0; n < 10_000; n++) writeFileSync(join(full, `${n}`), '');
    run(full);
    expect(readdirSync(full)).toHaveLength(10_000);
  });
});
