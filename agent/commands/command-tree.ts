import type { Argument, Command, Option } from 'commander';
import { type Example, examplesOf } from './examples.ts';

/** What can stand for a value: one of some words, or something of that kind. */
export type Kind = 'text' | 'file' | 'directory' | 'store-path' | 'pin' | 'key' | readonly string[];

/** A word of the command line, or two. */
export interface TreeValue {
  /** As help shows it: `<FILE>`, `<KEY VALUE>`. */
  readonly shown: string;
  /** Of each word. */
  readonly kinds: readonly Kind[];
}

export interface TreeOption {
  /** `-h` and `--help`. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly value?: TreeValue;
}

export interface TreeArgument {
  /** As help shows it: `<STORE-PATH...>`. */
  readonly shown: string;
  readonly description: string;
  readonly kind: Kind;
  /** It and what follows. */
  readonly variadic: boolean;
}

export interface TreeCommand {
  /** With that of the command that it belongs to: `root set`. */
  readonly name: string;
  /** Those that belong to it, by their last word: it is called with one of them only. */
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly description: string;
  readonly options: readonly TreeOption[];
  readonly arguments: readonly TreeArgument[];
  readonly examples: readonly Example[];
}

/** The whole command line as completions and the man page need it. */
export interface CommandTree {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** Of every command. */
  readonly options: readonly TreeOption[];
  /** Each followed by those that belong to it. */
  readonly commands: readonly TreeCommand[];
}

/** Reads what commander knows, so that nothing is written down twice. */
export function commandTree(program: Command): CommandTree {
  const help = program.createHelp();
  return {
    name: program.name(),
    version: program.version() ?? '',
    description: program.description(),
    options: help.visibleOptions(program).map(option),
    commands: help.visibleCommands(program).flatMap((command) => withSubcommands(command, '')),
  };
}

function withSubcommands(command: Command, before: string): TreeCommand[] {
  const help = command.createHelp();
  const name = before + command.name();
  const subcommands = help.visibleCommands(command);
  const own = {
    name,
    subcommands: subcommands.map((one) => ({ name: one.name(), description: one.description() })),
    description: command.description(),
    options: help.visibleOptions(command).filter(isOwn).map(option),
    arguments: command.registeredArguments.map(argument),
    examples: examplesOf(command),
  };
  return [own, ...subcommands.flatMap((one) => withSubcommands(one, `${name} `))];
}

function isOwn({ long }: Option): boolean {
  return long !== '--help';
}

function option({ short, long, flags, description, argChoices }: Option): TreeOption {
  const shown = /<[^>]+>/.exec(flags)?.[0];
  return {
    flags: [short, long].filter((flag) => flag !== undefined),
    description,
    ...(shown !== undefined && { value: { shown, kinds: kindsOf(shown, argChoices) } }),
  };
}

function argument(given: Argument): TreeArgument {
  const { variadic, description, argChoices } = given;
  const shown = `<${given.name()}${variadic ? '...' : ''}>`;
  return { shown, description, variadic, kind: kindsOf(shown, argChoices)[0] ?? 'text' };
}

const kinds: ReadonlyMap<string, Kind> = new Map([
  ['FILE', 'file'],
  ['DIR', 'directory'],
  ['STORE-PATH', 'store-path'],
  ['PIN', 'pin'],
  ['KEY', 'key'],
] as const);

/** What a name in help stands for: the same name means the same everywhere. */
function kindsOf(shown: string, choices: readonly string[] | undefined): Kind[] {
  const names = shown.replace(/[<>]|\.\.\./g, '').split(' ');
  return names.map((name) => choices ?? kinds.get(name) ?? 'text');
}
