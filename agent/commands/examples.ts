import type { Command } from 'commander';

/** How a command is called, and what that does. */
export interface Example {
  /** Without `narrowcast`. */
  readonly words: string;
  readonly meaning: string;
}

const known = new WeakMap<Command, readonly Example[]>();

/** Gives a command examples, which its help and the man page show. */
export function withExamples(
  command: Command,
  ...examples: readonly (readonly [words: string, meaning: string])[]
): Command {
  const all = examples.map(([words, meaning]) => ({ words, meaning }));
  known.set(command, all);
  const text = all.map(({ words, meaning }) => `  narrowcast ${words}\n      ${meaning}`);
  return command.addHelpText('after', `\nExamples:\n${text.join('\n')}`);
}

/** The examples of a command, if it has any. */
export function examplesOf(command: Command): readonly Example[] {
  return known.get(command) ?? [];
}
