import type { Command } from 'commander';
import { knownKeys } from '../config/known-keys.ts';
import { commandTree } from './command-tree.ts';
import { bashCompletion } from './completions/bash.ts';
import { fishCompletion } from './completions/fish.ts';
import { zshCompletion } from './completions/zsh.ts';

const made = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** Prints the completions of a command line for a shell to read. */
export function completions(shell: keyof typeof made, program: Command): void {
  process.stdout.write(made[shell](commandTree(program), [...knownKeys.keys()]));
}
