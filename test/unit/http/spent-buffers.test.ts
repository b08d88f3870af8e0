import { createServer } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { send } from '../../../agent/http/reply.ts';
import { portOf } from '../../e2e/harness/ports.ts';
import { mustRun } from '../../e2e/harness/run-command.ts';

const chunk = 256 * 1024;
const answer = 256 * 1024 * 1024;

test('what was sent does not stay in memory', async () => {
  let peak = 0;
  async function* fresh(): AsyncGenerator<Uint8Array> {
    for (let sent = 0; sent < answer; sent += chunk) {
      yield Buffer.alloc(chunk);
      peak = Math.max(peak, process.memoryUsage().arrayBuffers);
    }
  }
  const server = createServer((_, response) => void send(response, fresh()));
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));

  const before = process.memoryUsage().arrayBuffers;
  // Another process, so that the client's own buffers do not count.
  const { stdout } = await mustRun([
    'curl',
    '-sS',
    `http://127.0.0.1:${portOf(server)}`,
    '-o',
    '/dev/null',
    '-w',
    '%{size_download}',
  ]);
  expect(Number(stdout)).toBe(answer);
  expect(peak - before).toBeLessThan(16 * 1024 * 1024);
});
