import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCommand } from '../../e2e/harness/run-command.ts';
import { temporaryDirectory } from '../cache/support/temporary.ts';
import { main } from './narrowcast.ts';

async function version(env: Record<string, string>): Promise<void> {
  const { code } = await runCommand([process.execPath, main, '--version'], { env });
  expect(code).toBe(0);
}

const made = async (...parts: string[]) => (await readdir(join(...parts), { recursive: true })).length;

test('what Node makes of the sources is kept for the next start, beneath the home directory', async () => {
  const [home, temporary] = [await temporaryDirectory(), await temporaryDirectory()];
  await version({ HOME: home, TMPDIR: temporary });
  expect(await made(home, '.cache/narrowcast-compiled')).toBeGreaterThan(10);
  expect(await made(temporary)).toBe(0);
});

test('or where XDG_CACHE_HOME or NODE_COMPILE_CACHE say', async () => {
  const [home, xdg, own] = [
    await temporaryDirectory(),
    await temporaryDirectory(),
    await temporaryDirectory(),
  ];
  await version({ HOME: home, XDG_CACHE_HOME: xdg });
  expect(await made(xdg, 'narrowcast-compiled')).toBeGreaterThan(10);
  await version({ HOME: home, NODE_COMPILE_CACHE: own });
  expect(await made(own)).toBeGreaterThan(10);
  expect(await made(home)).toBe(0);
});

test('where nothing can be kept, it starts all the same', async () => {
  await version({ HOME: '/dev/null' });
});
