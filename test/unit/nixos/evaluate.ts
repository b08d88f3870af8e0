import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun } from '../../e2e/harness/run-command.ts';

/** Where the repository's .nix files are. */
export const nixos = join(import.meta.dirname, '../../../nixos');

/**
 * The value of a Nix expression, as JSON would have it. No store is needed.
 * @throws Error with what Nix says
 */
export async function evaluate(expression: string) {
  const env = { PATH: process.env['PATH'] ?? '', HOME: tmpdir(), NIX_REMOTE: 'dummy://' };
  const { stdout } = await mustRun(['nix-instantiate', '--eval', '--strict', '--json', '-E', expression], {
    env,
  });
  return JSON.parse(stdout);
}

/** A value as a Nix expression. */
export function asNix(value: unknown): string {
  return `(builtins.fromJSON ${nixString(JSON.stringify(value))})`;
}

function nixString(text: string): string {
  return `"${text.replace(/[\\"$]/g, '\\$&')}"`;
}
