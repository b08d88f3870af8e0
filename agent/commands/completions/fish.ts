import type { CommandTree, Kind, TreeOption } from '../command-tree.ts';
import { casesByWords, groups } from './value-options.ts';

/** A completion script for fish. */
export function fishCompletion(tree: CommandTree, keys: readonly string[]): string {
  const { name, commands, options } = tree;
  const fn = `__${name}`;
  const skipped = [...casesByWords(tree)].map(
    ([words, cases]) =>
      `            case ${cases.map(asPattern).join(' ')}\n                set skip ${words}`,
  );
  const line = (...parts: readonly string[]) => ['complete', '-c', name, ...parts].join(' ');
  const at = (command: string, position = '') => ['-n', quoted(`${fn}_at '${command}' ${position}`.trim())];
  const optionLine = (option: TreeOption, condition: readonly string[]) =>
    line(...condition, ...flagsOf(option), '-d', quoted(option.description), ...wordsAfter(option, fn, keys));
  const nested = groups(tree).map(
    ({ name: group }) => `            case '${group}:*'\n                set found "$found $word"`,
  );
  const isFirst = ({ name: command }: { readonly name: string }) => !command.includes(' ');
  return `# fish completion for ${name}, made by '${name} completions fish'

# Whether the cursor is at an argument of this command, the N-th from 0 where that is said.
function ${fn}_at --argument-names wanted position
    set -l words (commandline -opc)
    set -e words[1]
    set -l found ''
    set -l count 0
    set -l skip 0
    for word in $words
        if test $skip -gt 0
            set skip (math $skip - 1)
            continue
        end
        switch "$found:$word"
${skipped.join('\n')}
            case '*:-*'
            case ':*'
                set found $word
${nested.join('\n')}
            case '*'
                set count (math $count + 1)
        end
    end
    test $skip -eq 0 -a "$found" = "$wanted"
    and begin
        test -z "$position"; or test $count -eq "$position"
    end
end

function ${fn}_store_paths
    set -l store /nix/store
    set -q NIX_STORE_DIR; and set store $NIX_STORE_DIR
    string match -rv '\\.(drv|lock|chroot)$' -- $store/*-*
end

${line('-f')}
${options.map((option) => optionLine(option, [])).join('\n')}
${commands
  .flatMap((command) => [
    ...(isFirst(command) ? [line(...at(''), '-a', command.name, '-d', quoted(command.description))] : []),
    ...command.subcommands.map((one) =>
      line(...at(command.name), '-a', one.name, '-d', quoted(one.description)),
    ),
    ...command.options.map((option) => optionLine(option, at(command.name))),
    ...command.arguments.flatMap(({ kind, variadic }, n) => {
      const words = wordsOf(kind, fn, keys);
      return words === undefined
        ? []
        : line(...at(command.name, variadic ? '' : String(n)), '-a', quoted(words));
    }),
  ])
  .join('\n')}
`;
}

/** Without quotes fish would take `*` for names of files. */
function asPattern(text: string): string {
  return text.startsWith("'") ? text : `'${text}'`;
}

function flagsOf({ flags }: TreeOption): string[] {
  return flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
}

function wordsAfter({ value }: TreeOption, fn: string, keys: readonly string[]): string[] {
  const kind = value?.kinds[0];
  if (kind === undefined) return [];
  if (kind === 'file') return ['-r', '-F'];
  const words = wordsOf(kind, fn, keys);
  return ['-x', ...(words === undefined ? [] : ['-a', quoted(words)])];
}

/** What `complete -a` takes; undefined where nothing can be proposed. */
function wordsOf(kind: Kind, fn: string, keys: readonly string[]): string | undefined {
  const words = {
    file: undefined,
    directory: '(__fish_complete_directories)',
    'store-path': `(${fn}_store_paths)`,
    pin: '(narrowcast pins 2>/dev/null | cut -f1)',
    key: keys.join(' '),
    text: undefined,
  };
  return typeof kind === 'string' ? words[kind] : kind.join(' ');
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
