import type { CommandTree, TreeCommand, TreeOption, TreeValue } from '../command-tree.ts';

/** An option that takes words, and the command it belongs to; `*` for those of every command. */
export interface ValueOption {
  readonly command: string;
  readonly flag: string;
  readonly value: TreeValue;
}

/** Every option that takes words: completions must not take these for commands or arguments. */
export function valueOptions({ options, commands }: CommandTree): ValueOption[] {
  const of = (command: string, all: readonly TreeOption[]) =>
    all.flatMap(({ flags, value }) =>
      value === undefined ? [] : flags.map((flag) => ({ command, flag, value })),
    );
  return [...of('*', options), ...commands.flatMap((command) => of(command.name, command.options))];
}

/** The commands that stand first on the line. */
export function firstCommands({ commands }: CommandTree): TreeCommand[] {
  return commands.filter(({ name }) => !name.includes(' '));
}

/** The commands that are called with another one behind them. */
export function groups({ commands }: CommandTree): TreeCommand[] {
  return commands.filter(({ subcommands }) => subcommands.length > 0);
}

/** Cases of a shell's `case` or `switch` on `COMMAND:WORD`, by how many words the option takes. */
export function casesByWords(tree: CommandTree): Map<number, string[]> {
  const cases = new Map<number, string[]>();
  for (const { command, flag, value } of valueOptions(tree)) {
    const words = value.kinds.length;
    cases.set(words, [...(cases.get(words) ?? []), pattern(command, flag)]);
  }
  return cases;
}

/** Matches `COMMAND:REST` in all three shells; the command `*` is any. */
export function pattern(command: string, rest: string): string {
  return command === '*' ? `*:${rest}` : `'${command}:${rest}'`;
}
