import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCommand } from '../../e2e/harness/run-command.ts';
import { skippable } from '../../e2e/harness/skippable.ts';
import { nixos } from './evaluate.ts';
import { machine, withoutLibrary } from './machine.ts';

const text = readFileSync(join(nixos, 'README.md'), 'utf8');
/** What people copy. Some are lines for a configuration, not a whole one. */
const examples = [...text.matchAll(/^```nix\n(.*?)^```$/gms)].map(([, example = '']) => example);

test('there are configurations to copy in nixos/README.md', () => {
  expect(examples.length).toBeGreaterThan(6);
});

test.each(examples)('this parses: %s', async (example) => {
  const whole = example.startsWith('{') ? example : `{ ${example} }`;
  const { code, stderr } = await runCommand(['nix-instantiate', '--parse', '-E', whole]);
  expect(code, stderr).toBe(0);
});

skippable(describe, withoutLibrary)('in a NixOS', () => {
  // The flake has a test of its own.
  test.each(examples.filter((example) => !example.includes('outputs =')))(
    'nothing speaks against %s',
    async (example) => {
      const configuration = example.startsWith('{') ? example : `{ ${example} }`;
      const here = configuration.replaceAll('./narrowcast/nixos', nixos);
      const { refusals, warnings } = await machine('laptop', `imports = [ (${here}) ];`);
      expect([refusals, warnings]).toEqual([[], []]);
    },
  );
});
