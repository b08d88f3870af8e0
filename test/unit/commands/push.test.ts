import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { credentialsFor } from '../../../agent/commands/push/credentials.ts';
import { PushTally } from '../../../agent/commands/push/push-tally.ts';
import { pushablePath } from '../../../agent/commands/push/pushable-path.ts';
import { packingOf, rateOf } from '../../../agent/commands/push/wishes.ts';
import { MadeStore } from '../push/made-store.ts';
import { HandClock } from './hand-clock.ts';
import { dir, narrowcast } from './narrowcast.ts';

const path = `/nix/store/${'a'.repeat(32)}-hello-2.12`;
const to = ['--to', 'http://127.0.0.1:1'];

describe('usage that cannot be followed ends with 2 and a sentence', () => {
  test.each([
    [[path], 'Say where to push to: --to URL, or --queue DIR to leave it to push-daemon.'],
    [[path, ...to, '--queue', dir], 'Say where to push to'],
    [['hello', ...to], 'The path "hello" is not directly in the store /nix/store.'],
    [[path, '--to', 'file:///cache'], "--to is an http or https URL, such as 'http://pi:6271'."],
    [
      [path, '--to', 'http://me:secret@pi'],
      '--to is a URL without user and password: they belong into a netrc file.',
    ],
    [[path, '--to', 'http://pi?compression=xz'], '--to is a URL without parameters'],
    [[path, ...to, '--compression', 'rar'], "--compression is one of zstd, xz, none, not 'rar'."],
    [[path, ...to, '--level', '20'], "--level is a whole number from 1 to 19, not '20'."],
    [
      [path, ...to, '--compression', 'none', '--level', '1'],
      '--level has no meaning with --compression none.',
    ],
    [[path, ...to, '--jobs', '0'], "--jobs is a whole number from 1 to 32, not '0'."],
    [
      [path, ...to, '--max-rate', 'fast'],
      "--max-rate is bytes a second, such as 500KiB or 2MiB, not 'fast'.",
    ],
    [[path, path, ...to, '--root', 'laptop'], '--root names one store path: push the others by themselves.'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await narrowcast(['push', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('secret@');
  });
});

test('a key file that holds no key is refused without being shown', async () => {
  const file = join(dir, 'no-key');
  writeFileSync(file, 'top-secret-words');
  const { code, stderr } = await narrowcast(['push', path, ...to, '--key-file', file]);
  expect([code, stderr]).toEqual([2, expect.stringContaining(`${file} is no secret key: `)]);
  expect(stderr).not.toContain('top-secret');
});

test('what the options say', () => {
  expect(packingOf({})).toEqual({ compression: 'zstd', level: 3 });
  expect(packingOf({ compression: 'xz' })).toEqual({ compression: 'xz', level: 6 });
  expect(packingOf({ level: '19' })).toEqual({ compression: 'zstd', level: 19 });
  expect([rateOf({}), rateOf({ maxRate: '500KiB' }), rateOf({ maxRate: '1000' })]).toEqual([
    0, 512_000, 1_000,
  ]);
});

test('a path may be a file in it, or a link to it', async () => {
  await expect(pushablePath(`${path}/bin/hello`, '/nix/store')).resolves.toMatchObject({
    name: 'hello-2.12',
  });
  const store = join(dir, 'store');
  const base = `${'b'.repeat(32)}-made`;
  mkdirSync(join(store, base), { recursive: true });
  symlinkSync(join(store, base), join(dir, 'result'));
  await expect(pushablePath(join(dir, 'result'), store)).resolves.toMatchObject({ base });
});

test('credentials are those of the host, from the file that is named', async () => {
  const file = join(dir, 'netrc');
  writeFileSync(file, 'machine pi login me password token\nmachine ::1 login six password token\n');
  await expect(credentialsFor(new URL('http://pi:6271/'), file)).resolves.toEqual({
    login: 'me',
    password: 'token',
  });
  await expect(credentialsFor(new URL('http://[::1]:6271/'), file)).resolves.toMatchObject({ login: 'six' });
  await expect(credentialsFor(new URL('http://other/'), file)).resolves.toBeUndefined();
  await expect(credentialsFor(new URL('http://pi/'), join(dir, 'nowhere'))).rejects.toThrow('cannot be read');
});

test('the line tells what is there, what has gone, how fast, and how long yet', () => {
  const clock = new HandClock();
  const store = new MadeStore();
  const [a, b] = [store.add('a', Buffer.alloc(1024 * 1024)), store.add('b', Buffer.alloc(1024 * 1024, 1))];
  const tally = new PushTally(clock);
  tally.planned({ paths: 10, missing: [a, b] });
  expect(tally.line()).toBe('[--------------------] 8/10 paths, 0 B/2.0 MiB');
  tally.reached(a, 0.5);
  tally.sent(100_000);
  clock.advance(1_000);
  tally.reached(a, 0.25);
  tally.sent(1);
  expect(tally.line()).toBe('[##------------------] 8/10 paths, 256 KiB/2.0 MiB, 98 KiB/s, 0:07 left');
  tally.reached(a, 1);
  tally.pushed();
  tally.failed();
  expect(tally.summary()).toBe('1 path pushed (98 KiB in 0:01), 8 there before, 1 failed');
  expect([tally.failures, tally.bytes]).toEqual([1, 100_001]);
});
