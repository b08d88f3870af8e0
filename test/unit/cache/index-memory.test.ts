import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('an entry of the index with five references takes less than 350 bytes of memory, however many came and went', {
  timeout: 60_000,
}, async () => {
  const script = new URL('./support/index-bytes.ts', import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, '20000', '5']);
  // Measured: 230 to 240.
  expect(Number(stdout)).toBeLessThan(350);
});
