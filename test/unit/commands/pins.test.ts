import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dir, narrowcast } from './narrowcast.ts';

const path = `/nix/store/${'a'.repeat(32)}-hello-2.12`;
const other = `/nix/store/${'b'.repeat(32)}-system`;

let made = 0;
/** `narrowcast` with a cache directory of its own that does not exist yet. */
function withFreshCache() {
  const cache = join(dir, `pins-${made++}`);
  return (...args: string[]) => narrowcast([...args, '--option', 'cache.dir', cache]);
}

const silentSuccess = { code: 0, stdout: '', stderr: '' };

test('what is pinned is listed by name, until it is unpinned', async () => {
  const run = withFreshCache();
  expect(await run('pins')).toEqual(silentSuccess);
  expect(await run('pin', 'system', other)).toEqual(silentSuccess);
  expect(await run('pin', 'hello', path)).toEqual(silentSuccess);
  expect(await run('pins')).toEqual({ ...silentSuccess, stdout: `hello\t${path}\nsystem\t${other}\n` });
  expect(JSON.parse((await run('pins', '--json')).stdout)).toEqual([
    { name: 'hello', path },
    { name: 'system', path: other },
  ]);
  expect(await run('unpin', 'hello')).toEqual(silentSuccess);
  expect(await run('pins')).toEqual({ ...silentSuccess, stdout: `system\t${other}\n` });
});

test('a name that is pinned anew stands for the new path', async () => {
  const run = withFreshCache();
  await run('pin', 'system', path);
  await run('pin', 'system', other);
  expect((await run('pins')).stdout).toBe(`system\t${other}\n`);
});

test('unpinning what is not pinned ends with 1 and says so', async () => {
  expect(await withFreshCache()('unpin', 'hello')).toEqual({
    code: 1,
    stdout: '',
    stderr: `narrowcast: Nothing is pinned as "hello": 'narrowcast pins' lists what is.\n`,
  });
});

describe('what cannot be pinned ends with 2 and a sentence', () => {
  test.each([
    [['pin', 'hello', 'hello-2.12'], 'The path "hello-2.12" is not directly in the store /nix/store.'],
    [['pin', 'hello', `${path}/bin/hello`], `is not a store path's <hash>-<name>.`],
    [['pin', '../hello', path], '"../hello" cannot name a pin'],
    [['unpin', ''], '"" cannot name a pin'],
    [['pin', 'hello'], "missing required argument 'STORE-PATH'"],
  ])('%j', async (args, message) => {
    const run = withFreshCache();
    const { code, stdout, stderr } = await run(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect((await run('pins')).stdout).toBe('');
  });
});
