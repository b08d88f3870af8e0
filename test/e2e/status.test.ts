import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { statsSchema } from '../../agent/http/stats-schema.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { mustRun, runCommand } from './harness/run-command.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const main = join(import.meta.dirname, '../../agent/main.ts');
const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

let relay: RelayProcess;
let command: string[];
let env: Record<string, string>;

beforeAll(async () => {
  const home = stack.use(await TemporaryDirectory.create('status')).path;
  relay = stack.use(await RelayProcess.start({ substituters: ['http://127.0.0.1:9'] }));
  const file = join(home, 'narrowcast.toml');
  await writeFile(file, `listen = "${new URL(relay.url).host}"\n`);
  command = [process.execPath, main, 'status', '--config', file];
  env = { PATH: process.env['PATH'] ?? '', HOME: home, TERM: 'xterm-256color' };
});

test('prints one screen without colours where stdout is no terminal, --watch or not', async () => {
  for (const words of [[], ['--watch']]) {
    const { code, stdout, stderr } = await runCommand([...command, ...words], { env });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^narrowcast \d+\.\d+\.\d+ up \d+ s, since /);
    for (const heading of ['network', 'cache', 'transfers', 'bytes', 'sources'])
      expect(stdout).toMatch(new RegExp(`^${heading}`, 'm'));
    expect(stdout).toMatch(/^✗ http:\/\/127\.0\.0\.1:9 +upstream$/m);
    expect(stdout).not.toContain('\u001b');
  }
});

test('prints what GET /stats says with --json', async () => {
  const { code, stdout } = await runCommand([...command, '--json'], { env });
  expect(code).toBe(0);
  expect(v.parse(statsSchema, JSON.parse(stdout)).sources[0]?.id).toBe('http://127.0.0.1:9');
});

test('says in a sentence that no agent runs, and exits with 1', async () => {
  const { code, stdout, stderr } = await runCommand([...command, '--option', 'listen', 'localhost:9'], {
    env,
  });
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(
    /^narrowcast: No narrowcast answers at http:\/\/localhost:9: start it with 'narrowcast serve'/,
  );
});

test('refuses --watch with --json', async () => {
  const { code, stderr } = await runCommand([...command, '--watch', '--json'], { env });
  expect([code, stderr]).toEqual([2, expect.stringContaining('cannot be used with')]);
});

/** `--watch` on a terminal of its own, so wide, and what it has written so far. */
function watching(columns: number, more: Record<string, string> = {}) {
  const shell = `tty; stty rows 30 cols ${columns}; "$@"; echo "ended with $?"; stty -a`;
  const quoted = ['sh', '-c', shell, 'sh', ...command, '--watch'].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qfc', quoted, '/dev/null'], {
    env: { ...env, SHELL: '/bin/sh', ...more },
  });
  const closed = once(child, 'close');
  let written = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written += text;
  });
  stack.defer(async () => {
    child.kill('SIGKILL');
  });
  return {
    written: () => written,
    type: (keys: string) => child.stdin.write(keys),
    ended: () => closed,
    tty: () => /\/dev\/pts\/\d+/.exec(written)?.[0] ?? '',
  };
}

const enter = '\u001b[?1049h';
const leave = '\u001b[?1049l';
const soon = { timeout: 20_000 };

test('is live on a terminal, follows its size, and gives it back at Ctrl-C', async () => {
  const live = watching(80);
  const frames = () => live.written().split('\u001b[H').length - 1;
  await expect.poll(frames, soon).toBeGreaterThanOrEqual(3);
  expect(live.written()).toContain(`${enter}\u001b[?25l`);
  expect(live.written()).toContain('\u001b[1mnarrowcast');
  expect(live.written()).toContain('since start');
  expect(live.written()).toMatch(/bytes +today +since start/);

  const before = live.written().length;
  await mustRun(['stty', '-F', live.tty(), 'cols', '40']);
  const narrow = () => live.written().slice(before);
  await expect.poll(narrow, soon).toMatch(/bytes +today(?! +since)/);

  live.type('\u0003');
  await live.ended();
  expect(live.written()).toContain('ended with 130');
  expect(live.written().split(leave)[1]).toContain('ended with');
  expect(live.written()).toContain('\u001b[?25h');
  expect(live.written()).toMatch(/ icanon/);
});

test('ends with 0 at q, and has no colours with NO_COLOR', async () => {
  const live = watching(80, { NO_COLOR: '1' });
  await expect.poll(live.written, soon).toContain('sources');
  live.type('q');
  await live.ended();
  expect(live.written()).toContain('ended with 0');
  for (const style of ['\u001b[1m', '\u001b[2m', '\u001b[31m']) expect(live.written()).not.toContain(style);
});

test('waits for an agent that is away', async () => {
  const live = watching(80);
  await expect.poll(live.written, soon).toContain('sources');
  await relay.stop();
  await expect.poll(live.written, soon).toContain('No narrowcast answers');
  live.type('q');
  await live.ended();
  expect(live.written()).toContain('ended with 0');
});
