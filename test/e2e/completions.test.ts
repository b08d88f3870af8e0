import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine } from '../../agent/command-line.ts';
import { commandTree } from '../../agent/commands/command-tree.ts';
import { reference } from '../../agent/config/reference.ts';
import { mustRun, runCommand } from './harness/run-command.ts';
import { completingShells, shellSkipReason } from './harness/shells.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const main = join(import.meta.dirname, '../../agent/main.ts');
const tree = commandTree(commandLine([]));
const names = tree.commands.flatMap(({ name }) => (name.includes(' ') ? [] : name)).sort();
const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

let home: string;
let env: Record<string, string>;
let store: string;
const hello = '0123456789abcdfghijklmnpqrsvwxyz-hello-2.12';
const other = 'abcdfghijklmnpqrsvwxyz0123456789-other';

beforeAll(async () => {
  home = stack.use(await TemporaryDirectory.create('completions')).path;
  store = join(home, 'store');
  for (const name of [hello, other, `${hello}.drv`, '.links'])
    await mkdir(join(store, name), { recursive: true });
  await writeFile(join(home, 'config.toml'), '');
  await writeFile(join(home, 'narrowcast'), `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`, {
    mode: 0o755,
  });
  env = {
    PATH: `${home}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    XDG_CACHE_HOME: join(home, '.cache'),
    NIX_STORE_DIR: store,
  };
  for (const { name } of completingShells) {
    const { stdout } = await mustRun([process.execPath, main, 'completions', name], { env });
    await writeFile(scriptOf(name), stdout);
  }
});

function scriptOf(shell: string): string {
  return join(home, `completion.${shell}`);
}

// Each proposal is a shell of its own, and zsh takes its time.
describe.each(completingShells)('$name', { timeout: 120_000 }, (shell) => {
  const here = skippable(test, shellSkipReason(shell.name));
  const proposals = (line: string) => shell.proposals(scriptOf(shell.name), line, env);

  here('proposes every command, and those that fit', async () => {
    expect((await proposals('narrowcast ')).filter((word) => !word.startsWith('-'))).toEqual(names);
    expect(await proposals('narrowcast sta')).toEqual(['status']);
    expect((await proposals('narrowcast root ')).filter((word) => !word.startsWith('-'))).toEqual([
      'list',
      'remove',
      'set',
    ]);
    expect(await proposals(`narrowcast root set --to http://pi laptop ${store}/0`)).toEqual([
      join(store, hello),
    ]);
    expect(await proposals('narrowcast --config config.toml --option listen x sta')).toEqual(['status']);
  });

  here('proposes every option of every command', async () => {
    for (const command of tree.commands) {
      const flags = [...command.options, ...tree.options].flatMap((option) => option.flags);
      const long = flags.filter((flag) => flag.startsWith('--')).sort();
      expect(await proposals(`narrowcast ${command.name} --`), command.name).toEqual(long);
    }
  });

  here('proposes store paths, and no derivations', async () => {
    const all = [join(store, hello), join(store, other)];
    expect(await proposals(`narrowcast why ${store}/`)).toEqual(all);
    expect(await proposals(`narrowcast why ${store}/01`)).toEqual([join(store, hello)]);
    expect(await proposals(`narrowcast fetch --closure ${all[1]} ${store}/0`)).toEqual([join(store, hello)]);
    expect(await proposals(`narrowcast pin laptop ${store}/0`)).toEqual([join(store, hello)]);
    expect(await proposals(`narrowcast pin ${store}/0`)).toEqual([]);
  });

  here('proposes keys, files, shells and pins where these belong', async () => {
    expect(await proposals('narrowcast serve --option ')).toEqual(reference.map(({ key }) => key).sort());
    expect(await proposals('narrowcast serve --option cache.max-')).toEqual([
      'cache.max-age',
      'cache.max-size',
    ]);
    expect(await proposals('narrowcast completions ')).toEqual(['bash', 'fish', 'zsh']);
    expect(
      (await proposals(`narrowcast --config ${home}/conf`)).map((word) => word.replace(/.*\//, '')),
    ).toEqual(['config.toml']);
    await mustRun([join(home, 'narrowcast'), 'pin', 'laptop', `/nix/store/${hello}`], { env });
    expect(await proposals('narrowcast unpin ')).toEqual(['laptop']);
  });
});

test('a line typed into bash is completed', async () => {
  const typed = `source ${scriptOf('bash')}\nnarrowcast doct\t--vers\t\nexit\n`;
  const inPty = `printf '%s' "$1" | script -qfc 'bash --norc -i' /dev/null`;
  const { stdout } = await runCommand(['sh', '-c', inPty, 'sh', typed], { env: { ...env, TERM: 'dumb' } });
  expect(stdout).toContain('narrowcast doctor --version');
  expect(stdout).toMatch(new RegExp(`^${tree.version}\r?$`, 'm'));
});

const withGroff = skippable(
  test,
  spawnSync('groff', ['--version']).status === 0 ? undefined : 'There is no groff here.',
);

withGroff('the man page has every command, option and key, and no fault in groff', async () => {
  const { stdout: roff } = await mustRun([process.execPath, main, 'man'], { env });
  const page = join(home, 'narrowcast.1');
  await writeFile(page, roff);
  const { stdout, stderr } = await mustRun(['groff', '-ww', '-man', '-Tascii', '-P-cbou', '-rLL=200n', page]);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/NAME\n +narrowcast - relay agent for Nix/);
  for (const { name, options } of tree.commands) {
    expect(stdout).toMatch(new RegExp(`^ +${name}( |$)`, 'm'));
    for (const { flags } of options) expect(stdout).toContain(flags.join(', '));
  }
  for (const { key, fallback } of reference) expect(stdout).toContain(`${key} = ${fallback}`);
});

test('another shell is refused with those that there are', async () => {
  const { code, stderr } = await runCommand([process.execPath, main, 'completions', 'tcsh'], { env });
  expect([code, stderr]).toEqual([2, expect.stringContaining('Allowed choices are bash, zsh, fish.')]);
});
