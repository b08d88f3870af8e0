import type { CommandTree, TreeOption, TreeValue } from '../command-tree.ts';

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

/** Cases of a shell's `case`/`switch` on `COMMAND:WORD`, by how many words the option takes. */
export function casesByWords(tree: CommandTree): Map<number, string[]> {
  const cases = new Map<number, string[]>();
  for (const { command, flag, value } of valueOptions(tree)) {
    const words = value.kinds.length;
    cases.set(words, [...(cases.get(words) ?? []), `${command}:${flag}`]);
  }
  return cases;
}
