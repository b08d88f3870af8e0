import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dir, exitOf, logOf, main, narrowcast, node } from './narrowcast.ts';

const path = `/nix/store/${'a'.repeat(32)}-hello-2.12`;

/** One whose server refuses connections. */
const daemonOf = (queue: string) => {
  const words = ['--queue', queue, '--spool-dir', join(queue, '.spool'), '--to', 'http://127.0.0.1:1'];
  return [main, 'push-daemon', ...words];
};

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it with 0', async (signal) => {
  const queue = mkdtempSync(join(dir, 'queue-'));
  const daemon = node(daemonOf(queue));
  await logOf(daemon).until('pushing');
  daemon.kill(signal);
  expect(await exitOf(daemon)).toBe(0);
});

test('push --queue adds to the queue; a daemon that cannot push goes on trying', async () => {
  const queue = mkdtempSync(join(dir, 'queue-'));
  const added = await narrowcast(['push', `${path}/bin/hello`, '--queue', queue]);
  expect(added).toEqual({ code: 0, stdout: '', stderr: '' });
  // Without Nix on PATH nothing can be pushed.
  const daemon = node(daemonOf(queue), { PATH: '' });
  const log = logOf(daemon);
  expect(await log.until('push put off')).toMatchObject({
    to: '127.0.0.1_1',
    err: { message: 'nix-store cannot be run: is Nix installed, and on PATH?' },
  });
  await log.until('push put off');
  daemon.kill('SIGTERM');
  expect(await exitOf(daemon)).toBe(0);
});

test('what is wrong with its options is told at once, with 2', async () => {
  const queue = mkdtempSync(join(dir, 'queue-'));
  const { code, stderr } = await narrowcast(['push-daemon', '--queue', queue, '--to', 'pi']);
  expect([code, stderr]).toEqual([2, expect.stringContaining('--to is an http or https URL')]);
});
