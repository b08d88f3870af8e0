import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Tally } from '../../../agent/commands/fetch/tally.ts';
import { type Sample, sample } from '../cache/support/sample.ts';
import { HandClock } from './hand-clock.ts';
import { dir, exitOf, main, narrowcast, node } from './narrowcast.ts';

const path = `/nix/store/${'a'.repeat(32)}-hello-2.12`;
const offline = ['--option', 'substituters', '', '--option', 'cache.dir', join(dir, 'fetch-cache')];
const alone = ['--option', 'lan.discover', 'false', ...offline];

/** An HTTP server; the options that make `fetch` take it for the running agent. */
async function serverAt(listener: RequestListener): Promise<string[]> {
  const server = createServer(listener);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return ['--option', 'listen', `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`, ...alone];
}

test('without an agent and without sources, the path that nobody has is named', async () => {
  const { code, stdout, stderr } = await narrowcast([
    'fetch',
    path,
    '--option',
    'listen',
    '127.0.0.1:0',
    ...alone,
  ]);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^0 paths fetched \(0 B in 0:0\d\), 0 there before, 1 failed\n$/);
  expect(stderr).toBe(
    `not fetched: ${path}: nobody within reach has it\nnarrowcast: 1 path could not be fetched; see above.\n`,
  );
});

test('what is at `listen` and no narrowcast is told, not asked for paths', async () => {
  const asked: unknown[] = [];
  const settings = await serverAt((request, response) => {
    asked.push(request.url);
    response.end('<html>hello</html>');
  });
  const { code, stdout, stderr } = await narrowcast(['fetch', path, ...settings]);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(
    /^narrowcast: At http:\/\/127\.0\.0\.1:\d+ there is no Nix cache, not narrowcast for \/nix\/store\.\n$/,
  );
  expect(asked).toEqual(['/nix-cache-info']);
});

test('a relay for another store is told', async () => {
  const settings = await serverAt((_, response) => response.end('StoreDir: /gnu/store\n'));
  const { code, stderr } = await narrowcast(['fetch', path, ...settings]);
  expect([code, stderr]).toEqual([1, expect.stringContaining('a cache for the store /gnu/store')]);
});

test('a relay that goes away in the middle is told', async () => {
  const settings = await serverAt(({ url }, response) => {
    if (url === '/nix-cache-info') response.end('StoreDir: /nix/store\n');
    else response.destroy();
  });
  const { code, stderr } = await narrowcast(['fetch', path, ...settings]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^narrowcast: narrowcast at http:\/\/127\.0\.0\.1:\d+ does not answer\.\n$/);
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends it with %i', async (signal, code) => {
  const asked = Promise.withResolvers<void>();
  const settings = await serverAt(({ url }, response) => {
    if (url === '/nix-cache-info') response.end('StoreDir: /nix/store\n');
    else asked.resolve();
  });
  const child = node([main, 'fetch', path, ...settings]);
  await asked.promise;
  child.kill(signal);
  expect(await exitOf(child)).toBe(code);
});

test('the tally tells how it is and how it was', () => {
  const clock = new HandClock();
  const tally = new Tally(clock);
  const mib = 1024 * 1024;
  const withSize = (narSize: number): Sample['narinfo'] => ({ ...sample().narinfo, narSize });
  expect(tally.line(1)).toBe('[--------------------] 0/1 paths, 0 B/0 B');
  tally.found(withSize(3 * mib));
  tally.found(withSize(5 * mib));
  tally.kept(withSize(3 * mib), false);
  tally.came(mib);
  clock.advance(1_000);
  tally.came(mib);
  expect(tally.line(3)).toBe('[############--------] 1/3 paths, 5.0 MiB/8.0 MiB, 2.0 MiB/s, 0:02 left');
  tally.came(3 * mib);
  tally.kept(withSize(5 * mib), true);
  tally.failed();
  expect(tally.summary()).toBe('1 path fetched (5.0 MiB in 0:01), 1 there before, 1 failed');
  expect(tally.failures).toBe(1);
});
