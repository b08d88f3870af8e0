import type { ReferenceRow } from '../../config/reference.ts';
import type { CommandTree, TreeCommand, TreeOption } from '../command-tree.ts';

/** narrowcast(1) in the macros of man(7), from the command line and the configuration's reference. */
export function manPage(tree: CommandTree, keys: readonly ReferenceRow[]): string {
  const { name, version, description, options, commands } = tree;
  return [
    `.TH ${roff(name.toUpperCase())} 1 "" "${roff(`${name} ${version}`)}" "User Commands"`,
    '.SH NAME',
    `${roff(name)} \\- ${roff(lowerFirst(description))}`,
    '.SH SYNOPSIS',
    `.B ${roff(name)}`,
    '[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]',
    '.SH DESCRIPTION',
    roff(
      'narrowcast runs on a machine as the only substituter of its Nix, at http://localhost:6270. It finds the caches of the LAN, takes from them what they have and the rest from upstream, checks every signature and every byte, keeps what it fetched, and never makes a Nix operation fail because a cache is away.',
    ),
    '.SH COMMANDS',
    ...commands.flatMap(command),
    '.SH OPTIONS',
    'All commands have these.',
    ...options.flatMap(entryOfOption),
    '.SH CONFIGURATION',
    roff('The configuration file is TOML. Every key is optional; these are the keys and their defaults.'),
    ...keys.flatMap(({ key, fallback, meaning }) =>
      entry(`\\fB${roff(key)}\\fR = ${roff(fallback)}`, [`${meaning.replaceAll('`', '')}.`]),
    ),
    '.SH FILES',
    ...entry('\\fI/etc/narrowcast/config.toml\\fR', ['The configuration, unless another is named.']),
    ...entry('\\fI/var/cache/narrowcast\\fR', [
      'The cache directory, a Nix binary cache like any other. Of users other than root: narrowcast beneath $XDG_CACHE_HOME or ~/.cache.',
    ]),
    ...entry('\\fI~/.cache/narrowcast\\-compiled\\fR', [
      'What Node makes of the program, for the next start; beneath $XDG_CACHE_HOME where that is set. It may be removed at any time.',
    ]),
    '.SH ENVIRONMENT',
    ...entry('\\fBNARROWCAST_CONFIG\\fR', ['The configuration file, where --config names none.']),
    ...entry('\\fBNO_COLOR\\fR', ['When set, nothing is coloured.']),
    '.SH EXIT STATUS',
    ...entry('0', ['All is well.']),
    ...entry('1', ['It failed, or something was found wrong.']),
    ...entry('2', ['Usage or configuration.']),
    ...entry('130', ['Interrupted.']),
    '.SH SEE ALSO',
    '.BR nix.conf (5),',
    '.BR nix\\-store (1)',
    '',
  ].join('\n');
}

function command(given: TreeCommand): string[] {
  const { name, arguments: all, subcommands, options, description, examples } = given;
  const words = all.map(({ shown }) => `\\fI${roff(shown)}\\fR`);
  if (subcommands.length > 0) words.push('\\fIcommand\\fR');
  const flags = options.length === 0 ? [] : ['[\\fIoptions\\fR]'];
  return [
    `.SS ${[`\\fB${roff(name)}\\fR`, ...flags, ...words].join(' ')}`,
    roff(`${upperFirst(description)}.`),
    ...all.flatMap((argument) =>
      argument.description === ''
        ? []
        : entry(`\\fI${roff(argument.shown)}\\fR`, [`${upperFirst(argument.description)}.`]),
    ),
    ...options.flatMap(entryOfOption),
    ...examples.flatMap(({ words: example, meaning }) => [
      '.PP',
      roff(`${upperFirst(meaning)}:`),
      '.PP',
      '.nf',
      `.RS 4\n${roff(`narrowcast ${example}`)}\n.RE`,
      '.fi',
    ]),
  ];
}

function entryOfOption({ flags, description, value }: TreeOption): string[] {
  const shown = value === undefined ? '' : ` \\fI${roff(value.shown)}\\fR`;
  const heading = `${flags.map((flag) => `\\fB${roff(flag)}\\fR`).join(', ')}${shown}`;
  return entry(heading, [`${upperFirst(description)}.`]);
}

/** A paragraph with a heading of its own; the heading is roff already. */
function entry(heading: string, lines: readonly string[]): string[] {
  return ['.TP', heading, ...lines.map(roff)];
}

/** Text that roff prints as it is: no macro at the start of a line, no escape, and minus signs that can be copied. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replaceAll('…', '\\&...')
    .replace(/^\./, '\\&.');
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** In NAME, what the program is stands without an article or a capital. */
function lowerFirst(text: string): string {
  return text.replace(/^An? /, '').replace(/^./, (first) => first.toLowerCase());
}
