import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sample, store } from './support/sample.ts';
import { openCache, temporaryDirectory } from './support/temporary.ts';

/** Another process that opens the cache, says 'open', and stays. */
async function otherProcess(dir: string) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'support', 'hold-cache.ts'), dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

test('a directory has one process at a time, and the second says what to do', async () => {
  const dir = await temporaryDirectory();
  const first = await openCache({ dir });
  await expect(openCache({ dir })).rejects.toMatchObject({
    code: 'cache-locked',
    message: expect.stringContaining(dir),
  });
  await first.close();
  await openCache({ dir });
});

test('kill -9 leaves no lock behind', async () => {
  const dir = await temporaryDirectory();
  const other = await otherProcess(dir);
  await expect(openCache({ dir })).rejects.toMatchObject({ code: 'cache-locked' });
  other.kill('SIGKILL');
  await once(other, 'exit');
  const cache = await openCache({ dir });
  expect(await store(cache, sample())).toBe(true);
});

test('a directory for another store is refused', async () => {
  const dir = await temporaryDirectory();
  await writeFile(join(dir, 'nix-cache-info'), 'StoreDir: /gnu/store\n');
  await expect(openCache({ dir })).rejects.toMatchObject({
    code: 'cache-wrong-store',
    message: expect.stringContaining('/gnu/store'),
  });
});

test('a nix-cache-info of the same store is left as it is', async () => {
  const dir = await temporaryDirectory();
  await mkdir(join(dir, 'nar'));
  const cacheInfo = 'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 99\n';
  await writeFile(join(dir, 'nix-cache-info'), cacheInfo);
  await openCache({ dir });
  expect(await readFile(join(dir, 'nix-cache-info'), 'utf8')).toBe(cacheInfo);
});
