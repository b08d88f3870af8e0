import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { dir, exitOf, logOf, main, narrowcast, node } from './narrowcast.ts';

const settings = Object.entries({
  substituters: '',
  'cache.dir': join(dir, 'cache'),
  'lan.listen': '',
  'lan.discover': 'false',
  'lan.advertise': 'false',
}).flatMap(([key, value]) => ['--option', key, value]);

describe('the agent', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'says where it listens, answers there, and stops at %s with 0',
    async (signal) => {
      const child = node([main, 'serve', '--option', 'listen', 'localhost:0', ...settings]);
      const log = logOf(child);
      const { level, url } = await log.until('listening');
      expect([level, url]).toEqual(['info', expect.stringMatching(/^http:\/\/localhost:\d+$/)]);
      const answer = await fetch(`${url}/nix-cache-info`);
      expect(await answer.text()).toContain('StoreDir: /nix/store\n');
      child.kill(signal);
      expect(await exitOf(child)).toBe(0);
      expect(await log.toEnd()).toContainEqual(expect.objectContaining({ msg: 'stopping', signal }));
    },
  );

  test('takes SIGUSR2 for word of another network, and serves on', async () => {
    const child = node([main, 'serve', '--option', 'listen', 'localhost:0', ...settings]);
    const log = logOf(child);
    const { url } = await log.until('listening');
    child.kill('SIGUSR2');
    expect(await log.until('network changed')).toMatchObject({ change: 'told' });
    expect((await fetch(`${url}/nix-cache-info`)).status).toBe(200);
  });

  test.each([
    [{}, 16],
    [{ UV_THREADPOOL_SIZE: '5' }, 5],
  ])('has a pool for blocking work as %j wants it', async (env, threads) => {
    const child = node([main, 'serve', '--option', 'listen', '127.0.0.1:0', ...settings], env);
    await logOf(child).until('listening');
    const tasks = `/proc/${child.pid}/task`;
    const names = readdirSync(tasks).map((task) => readFileSync(join(tasks, task, 'comm'), 'utf8').trim());
    expect(names.filter((name) => name === 'libuv-worker')).toHaveLength(threads);
  });

  test('tells which port is in use and what to do', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : expect.fail('no port');
    const { code, stderr } = await narrowcast([
      'serve',
      '--option',
      'listen',
      `127.0.0.1:${port}`,
      ...settings,
    ]);
    server.close();
    expect([code, stderr]).toEqual([
      1,
      `narrowcast: Port ${port} of 127.0.0.1 is in use: stop the program that uses it, or choose another with --option listen localhost:PORT.\n`,
    ]);
  });
});

describe('around an agent that', () => {
  const standIn = fileURLToPath(new URL('stand-in.ts', import.meta.url));
  const start = (behaviour: string, ...options: string[]) => {
    const child = node([standIn, behaviour, ...options]);
    return { child, log: logOf(child) };
  };

  test('is well, every URL is logged', async () => {
    const { child, log } = start('is-well');
    await log.until('listening');
    await log.until('listening');
    child.kill('SIGTERM');
    await log.until('all done');
    expect(log.entries.map(({ msg, url }) => url ?? msg)).toEqual([
      'http://127.0.0.1:1/',
      'http://[::1]:1/',
      'stopping',
      'all done',
    ]);
    expect(await exitOf(child)).toBe(0);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('never stops, a second %s ends the process with %i', async (signal, code) => {
    const { child, log } = start('never-stops');
    await log.until('listening');
    child.kill(signal);
    await log.until('stopping');
    const impatience = setInterval(() => child.kill(signal), 50);
    expect(await exitOf(child)).toBe(code);
    clearInterval(impatience);
  });

  test('stops, two signals of one keystroke do not cut it short', async () => {
    const { child, log } = start('stops-after-sigterm');
    await log.until('listening');
    child.kill('SIGINT');
    child.kill('SIGTERM');
    await log.until('all done');
    expect(await exitOf(child)).toBe(0);
  });

  test.each(['throws', 'rejects'])(
    '%s where nobody catches it, the code is logged and the process ends with 1',
    async (how) => {
      const { child, log } = start(how);
      expect(await log.until('uncaught error')).toMatchObject({
        level: 'fatal',
        err: { code: 'E_BROKEN', message: 'http://host/' },
      });
      expect(await exitOf(child)).toBe(1);
    },
  );

  test('does not get its port, the cause is found', async () => {
    const { child, log } = start('finds-port-in-use', 'listen', 'localhost:1234');
    expect(JSON.stringify(await log.toEnd())).toContain('Port 1234 of localhost is in use');
    expect(await exitOf(child)).toBe(1);
  });

  test('fails to start, debug shows the stack', async () => {
    const { log } = start('finds-port-in-use', 'log-level', 'debug');
    expect(await log.until('start failed')).toMatchObject({
      err: { stack: expect.stringContaining('stand-in.ts') },
    });
  });
});
