import type { CommandTree, Kind, TreeArgument, TreeCommand, TreeOption } from '../command-tree.ts';
import { firstCommands } from './value-options.ts';

/** A completion script for zsh: a file `_narrowcast` in a directory of fpath, or to be sourced. */
export function zshCompletion(tree: CommandTree, keys: readonly string[]): string {
  const { name, commands, options } = tree;
  const fn = `_${name}`;
  const everywhere = options.map((option) => optionSpec(option, fn));
  const described = firstCommands(tree).map(
    (command) => `    ${quoted(`${command.name}:${command.description}`)}`,
  );
  const cases = firstCommands(tree).map((command) => commandCase(command, commands, fn));
  return `#compdef ${name}
# zsh completion for ${name}, made by '${name} completions zsh'

${fn}_commands() {
  local -a commands=(
${described.join('\n')}
  )
  _describe -t commands command commands
}

${fn}_keys() {
  compadd -- ${keys.join(' ')}
}

${fn}_pins() {
  compadd -- \${(f)"$(${name} pins 2>/dev/null | cut -f1)"}
}

${fn}_store_paths() {
  local store=\${NIX_STORE_DIR:-/nix/store}
  local -a paths=($store/*-*(N))
  compadd -- \${paths:#*.(drv|lock|chroot)}
}

${fn}() {
  local context state state_descr line curcontext=$curcontext
  typeset -A opt_args
  local -a everywhere=(${everywhere.join(' ')})
  _arguments -C $everywhere '1:command:${fn}_commands' '*::argument:->arguments'
  case $state in
    arguments)
      curcontext=\${curcontext%:*:*}:${name}-$words[1]:
      case $words[1] in
${cases.join('\n')}
      esac ;;
  esac
}

if [[ $funcstack[1] == ${fn} ]]; then
  ${fn} "$@"
else
  compdef ${fn} ${name}
fi
`;
}

/** What completes the words behind a command: its own, or those of the command that follows. */
function commandCase(command: TreeCommand, all: readonly TreeCommand[], fn: string): string {
  const { name, subcommands, options, arguments: given } = command;
  const last = name.slice(name.lastIndexOf(' ') + 1);
  const specs = options.map((option) => optionSpec(option, fn));
  if (subcommands.length === 0) {
    const words = [...specs, ...given.map((argument, n) => argumentSpec(argument, n, fn))];
    return `        ${last}) _arguments $everywhere ${words.join(' ')} ;;`;
  }
  const within = all.filter((one) => subcommands.some((sub) => one.name === `${name} ${sub.name}`));
  const names = subcommands.map((sub) => sub.name).join(' ');
  return `        ${last})
          _arguments -C $everywhere ${specs.join(' ')} '1:command:(${names})' '*::argument:->nested'
          [[ $state == nested ]] && case $words[1] in
${within.map((one) => commandCase(one, all, fn)).join('\n')}
          esac ;;`;
}

/** As _arguments wants it. */
function optionSpec({ flags, description, value }: TreeOption, fn: string): string {
  const words = (value?.kinds ?? []).map((kind, n) => {
    const shown = value?.shown.replace(/[<>]/g, '').split(' ')[n] ?? '';
    return `:${shown}:${action(kind, fn)}`;
  });
  const text = `[${description.replace(/[[\]\\]/g, '\\$&')}]${words.join('')}`;
  const repeated = value !== undefined && value.kinds.length > 1 ? '*' : '';
  return flags.map((flag) => quoted(`${repeated}${flag}${text}`)).join(' ');
}

function argumentSpec({ shown, kind, variadic }: TreeArgument, n: number, fn: string): string {
  return quoted(`${variadic ? '*' : n + 1}:${shown.replace(/[<>]|\.\.\./g, '')}:${action(kind, fn)}`);
}

function action(kind: Kind, fn: string): string {
  const actions = {
    file: '_files',
    directory: '_files -/',
    'store-path': `${fn}_store_paths`,
    pin: `${fn}_pins`,
    key: `${fn}_keys`,
    text: ' ',
  };
  return typeof kind === 'string' ? actions[kind] : `(${kind.join(' ')})`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
