import { execFileSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { reference } from '../../../agent/config/reference.ts';
import { dir, main, narrowcast } from './narrowcast.ts';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));

test('--version is that of package.json', async () => {
  expect(await narrowcast(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
});

test('--help tells commands, options and exit codes', async () => {
  const { code, stdout, stderr } = await narrowcast(['--help']);
  expect([code, stderr]).toEqual([0, '']);
  for (const command of [
    'status',
    'why',
    'doctor',
    'peers',
    'fetch',
    'serve',
    'scrub',
    'pin',
    'unpin',
    'pins',
    'push',
    'keygen',
  ]) {
    expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
  }
  for (const word of ['--config <FILE>', '--option <KEY VALUE>', 'Exit codes: 0 ok']) {
    expect(stdout).toContain(word);
  }
});

test('serve --help tells every key with its default, and the options that all commands have', async () => {
  const { code, stdout } = await narrowcast(['serve', '--help']);
  expect(code).toBe(0);
  for (const { key, fallback } of reference) expect(stdout).toContain(`  ${key} = ${fallback}\n`);
  expect(stdout).toContain('--config <FILE>');
});

describe('usage that cannot be followed ends with 2 and a sentence', () => {
  test.each([
    [[], 'Usage: narrowcast'],
    [['bogus'], "narrowcast: unknown command 'bogus'\nTry 'narrowcast --help'.\n"],
    [['--bogus'], "narrowcast: unknown option '--bogus'\n"],
    [['serve', 'now'], "narrowcast: too many arguments for 'serve'"],
    [['serve', '--config'], "narrowcast: option '--config <FILE>' argument missing"],
    [['serve', '--option'], "narrowcast: option '--option <KEY VALUE>' argument missing"],
    [['serve', '--option', 'listen'], 'It takes two words, KEY and VALUE.'],
    [['serve', '--option=listen', 'localhost:0'], 'It takes two words, KEY and VALUE.'],
    [['fetch'], "narrowcast: missing required argument 'STORE-PATH'"],
    [['fetch', 'hello'], 'narrowcast: The path "hello" is not directly in the store /nix/store.'],
    [['keygen'], "narrowcast: missing required argument 'NAME'"],
    [['keygen', ''], 'narrowcast: A key\'s name must not be empty or have spaces or colons: "".'],
    [['keygen', 'a:b'], 'narrowcast: A key\'s name must not be empty or have spaces or colons: "a:b".'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await narrowcast(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });
});

describe('a configuration that is wrong ends with 2 and a sentence', () => {
  const bad = join(dir, 'bad.toml');
  writeFileSync(bad, 'listen = "0.0.0.0:80"\n');
  const broken = join(dir, 'broken.toml');
  writeFileSync(broken, '\n  listen = localhost\n');

  test.each([
    [
      ['serve', '--option', 'listen', '0.0.0.0:80'],
      {},
      'narrowcast: listen = "0.0.0.0:80" (--option): expected',
    ],
    [['--option', 'log-level', 'loud', 'serve'], {}, 'narrowcast: log-level = "loud" (--option): expected'],
    [['serve', '--config', bad], {}, `narrowcast: listen = "0.0.0.0:80" (${bad}): expected`],
    [['--config', bad, 'serve'], {}, `narrowcast: listen = "0.0.0.0:80" (${bad}): expected`],
    [['serve'], { NARROWCAST_CONFIG: bad }, `narrowcast: listen = "0.0.0.0:80" (${bad}): expected`],
    [['serve', '--config', broken], {}, `narrowcast: ${broken}:2:12: not TOML: invalid value\n`],
    [
      ['serve', '--config', '/nonexistent'],
      {},
      'narrowcast: The configuration file /nonexistent cannot be read',
    ],
    [
      ['serve', '--option', 'colour', 'red', '--option', 'listen', 'x'],
      {},
      'narrowcast: 2 settings are wrong:\n  colour = "red" (--option): there is no such key',
    ],
  ])('%j %j', async (args, env, message) => {
    const { code, stdout, stderr } = await narrowcast(args, env);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });

  test('with a stack for those who ask for debug', async () => {
    const { code, stderr } = await narrowcast([
      'serve',
      '--option',
      'log-level',
      'debug',
      '--option',
      'listen',
      'x',
    ]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^narrowcast: .*listen = "x".*\n {4}at /s);
  });
});

test('compiled, it is the same program', async () => {
  const root = join(main, '../..');
  const outDir = join(dir, 'dist');
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', outDir], {
    cwd: root,
  });
  const compiled = (...args: string[]) =>
    execFileSync(process.execPath, [join(outDir, 'agent/main.js'), ...args], { encoding: 'utf8' });
  expect(compiled('--version')).toBe(`${version}\n`);
  expect(compiled('keygen', 'test-1')).toMatch(/^test-1:\S{88}\ntest-1:\S{44}\n$/);
  expect(compiled('serve', '--help')).toContain('cache.max-size = "20GiB"');
}, 120_000);
