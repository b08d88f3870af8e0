import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCommand } from '../../e2e/harness/run-command.ts';
import { skippable } from '../../e2e/harness/skippable.ts';

const repository = join(import.meta.dirname, '../../..');
const files = globSync(['flake.nix', 'nixos/**/*.nix', 'test/unit/nixos/**/*.nix'], { cwd: repository });

test('there are Nix files', () => {
  expect(files).toContain('flake.nix');
  expect(files).toContain('nixos/laptop.nix');
});

test.each(files)('%s parses', async (file) => {
  const { code, stderr } = await runCommand(['nix-instantiate', '--parse', join(repository, file)]);
  expect(code, stderr).toBe(0);
});

const nixfmt = spawnSync('nixfmt', ['--version'], { encoding: 'utf8' });
const withoutFormatter =
  nixfmt.status === 0 ? undefined : 'No nixfmt is on PATH, with which formatting would be checked.';

skippable(test, withoutFormatter)('all are as the flake’s formatter would have them', async () => {
  const all = files.map((file) => join(repository, file));
  const { code, stderr } = await runCommand(['nixfmt', '--check', ...all]);
  expect(code, stderr).toBe(0);
});

// The formatter is not in Debian: this much of it is checked without.
test.each(files)('%s has no tabs, trailing blanks or odd indents, and ends with one newline', (file) => {
  const text = readFileSync(join(repository, file), 'utf8');
  expect(text).toMatch(/[^\n]\n$/);
  for (const line of text.split('\n')) {
    expect(line).not.toMatch(/\t|\s$/);
    expect(line.match(/^ */)?.[0].length ?? 0).toSatisfy((indent: number) => indent % 2 === 0, line);
  }
});
