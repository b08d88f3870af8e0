import type { CommandTree, Kind, TreeOption } from '../command-tree.ts';
import { casesByWords, firstCommands, groups, pattern, valueOptions } from './value-options.ts';

/** A completion script for bash 4.4 and later, with or without the package bash-completion. */
export function bashCompletion(tree: CommandTree, keys: readonly string[]): string {
  const { name, commands, options } = tree;
  const flags = (all: readonly TreeOption[]) => all.flatMap((option) => option.flags).join(' ');
  const fn = `_${name}`;
  const skipped = [...casesByWords(tree)].map(
    ([words, cases]) =>
      `      ${cases.join(' | ')}) option=\${COMP_WORDS[i]} start=$i i=$((i + ${words})) ;;`,
  );
  const values = valueOptions(tree).flatMap(({ command, flag, value }) =>
    value.kinds.map(
      (kind, n) => `      ${pattern(command, `${flag}:${n + 1}`)}) ${reply(fn, kind, keys)} ;;`,
    ),
  );
  const words = commands.map(
    (command) => `      '${command.name}') ${fn}_words '${flags([...command.options, ...options])}' ;;`,
  );
  const positions = commands.flatMap(({ name: command, arguments: all }) =>
    all.map(({ kind, variadic }, n) => `    '${command}':${variadic ? '*' : n}) ${reply(fn, kind, keys)} ;;`),
  );
  const nested = groups(tree).map(
    ({ name: group }) => `      '${group}':*) command+=" \${COMP_WORDS[i]}" ;;`,
  );
  const within = groups(tree).map(
    (group) =>
      `    '${group.name}':0) ${fn}_words '${group.subcommands.map((one) => one.name).join(' ')}' ;;`,
  );
  const first = firstCommands(tree).map((command) => command.name);
  return `# bash completion for ${name}, made by '${name} completions bash'

${fn}_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

${fn}_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

${fn}_store_paths() {
  local store=\${NIX_STORE_DIR:-/nix/store} path
  if [[ $cur != "$store"/* ]]; then
    compopt -o nospace 2>/dev/null
    ${fn}_words "$store/"
    return
  fi
  for path in "$cur"*; do
    [[ $path =~ /[0-9a-z]{32}-[^/]+$ && ! $path =~ \\.(drv|lock|chroot)$ ]] && COMPREPLY+=("$path")
  done
}

${fn}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} command= option= start=0 position=0 i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case $command:\${COMP_WORDS[i]} in
${skipped.join('\n')}
      *:-*) ;;
      :*) command=\${COMP_WORDS[i]} ;;
${nested.join('\n')}
      *) position=$((position + 1)) ;;
    esac
  done
  if ((i > COMP_CWORD)); then
    case $command:$option:$((COMP_CWORD - start)) in
${values.join('\n')}
    esac
    return
  fi
  if [[ $cur == -* ]]; then
    case $command in
      '') ${fn}_words '${flags(options)}' ;;
${words.join('\n')}
    esac
    return
  fi
  case $command:$position in
    :*) ${fn}_words '${first.join(' ')}' ;;
${within.join('\n')}
${positions.join('\n')}
  esac
}

complete -F ${fn} ${name}
`;
}

/** What fills COMPREPLY with words of that kind. */
function reply(fn: string, kind: Kind, keys: readonly string[]): string {
  if (kind === 'file') return `${fn}_files -f`;
  if (kind === 'directory') return `${fn}_files -d`;
  if (kind === 'store-path') return `${fn}_store_paths`;
  if (kind === 'pin') return `${fn}_words "$(narrowcast pins 2>/dev/null | cut -f1)"`;
  if (kind === 'key') return `${fn}_words '${keys.join(' ')}'`;
  return kind === 'text' ? ':' : `${fn}_words '${kind.join(' ')}'`;
}
