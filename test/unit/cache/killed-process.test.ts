import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { danglingNarinfos } from './support/invariants.ts';
import { temporaryDirectory } from './support/temporary.ts';

const keepStoring = join(import.meta.dirname, 'support', 'keep-storing.ts');

test('kill -9 at any instant: no narinfo without its whole NAR, and the next process goes on', {
  timeout: 120_000,
}, async () => {
  const dir = await temporaryDirectory();
  const instant = fc.integer({ min: 0, max: 300 });
  let stored = 0;
  await fc.assert(
    fc.asyncProperty(instant, async (ms) => {
      const child = spawn(process.execPath, [keepStoring, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
      onTestFinished(() => void child.kill('SIGKILL'));
      const exit = once(child, 'exit');
      await Promise.race([once(child.stdout, 'data'), exit]);
      setTimeout(() => child.kill('SIGKILL'), ms);
      expect(await exit).toEqual([null, 'SIGKILL']);
      expect(await danglingNarinfos(dir)).toEqual([]);
      stored = Math.max(stored, (await readdir(join(dir, 'nar'))).length);
    }),
    { numRuns: 25, endOnFailure: true },
  );
  expect(stored).toBeGreaterThan(20);
});
