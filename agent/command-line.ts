import { Argument, Command, Option as Flag, InvalidArgumentError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { withExamples } from './commands/examples.ts';
import type { PushCommandWishes } from './commands/push.ts';
import type { PushDaemonWishes } from './commands/push-daemon.ts';
import type { RootPlace } from './commands/root.ts';
import type { ConfigSources } from './config/load.ts';
import type { Option } from './config/options.ts';

/** What `addCommand…` functions need: where the configuration comes from, known once the command line has been read. */
type Sources = () => ConfigSources;

/**
 * All commands and their options; each is loaded when it is called. Help, completions and the man page are made from this tree.
 * @param options what `--option` said, which commander does not read: it has two values
 */
export function commandLine(options: readonly Option[]): Command {
  const program = new Command('narrowcast')
    .description(packageJson.description)
    .version(packageJson.version)
    .option('--config <FILE>', 'read this file ($NARROWCAST_CONFIG, else /etc/narrowcast/config.toml)')
    .option('--option <KEY VALUE>', 'override a key of the configuration; may be repeated', refuseOption)
    .addHelpText('after', '\nExit codes: 0 ok, 1 runtime failure, 2 usage or configuration, 130 interrupted')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'narrowcast: ')) })
    .showHelpAfterError("Try 'narrowcast --help'.")
    .hook('preSubcommand', addReference);
  const sources = () => ({ file: program.opts<{ config?: string }>().config, options });
  addEverydayCommands(program.commandsGroup('Every day:'), sources);
  addCacheCommands(program.commandsGroup('The cache:'), sources);
  addSharingCommands(program.commandsGroup('For others:'), sources);
  addAgentCommands(program.commandsGroup('Setting up:'), sources);
  addShellCommands(program);
  return program;
}

function addEverydayCommands(program: Command, sources: Sources): void {
  withExamples(program.command('status'), ['status', 'how it is now'], ['status --watch', 'the same, live'])
    .description('show where bytes came from, what is being fetched, and how every cache is')
    .addOption(new Flag('--watch', 'live, until q or Ctrl-C').conflicts('json'))
    .option('--json', 'as JSON, as GET /stats has it')
    .action(async (wishes: { json?: true; watch?: true }) => {
      const { status } = await import('./commands/status.ts');
      await status(wishes, sources());
    });
  withExamples(program.command('why'), [
    'why /nix/store/…-hello-2.12',
    'who has hello, and from where Nix would get it',
  ])
    .description('tell which caches have a store path, from where it would come, and why not from the others')
    .argument('<STORE-PATH>', 'or its hash part')
    .option('--json', 'as JSON')
    .action(async (path: string, wishes: { json?: true }) => {
      const { why } = await import('./commands/why.ts');
      await why(path, wishes, sources());
    });
  withExamples(program.command('doctor'), ['doctor', 'what is wrong with this machine, and what mends it'])
    .description('check everything between Nix and its caches, and tell what mends it')
    .option('--json', 'as JSON')
    .action(async (wishes: { json?: true }) => {
      const { doctor } = await import('./commands/doctor.ts');
      await doctor(wishes, sources());
    });
  program
    .command('peers')
    .description('show the caches on the LAN that the running agent knows')
    .option('--json', 'as JSON')
    .action(async (wishes: { json?: true }) => {
      const { peers } = await import('./commands/peers.ts');
      await peers(wishes, sources());
    });
  withExamples(program.command('fetch'), [
    'fetch --closure /nix/store/…-hello-2.12',
    'have hello and all that it needs at hand on the train',
  ])
    .description('fetch store paths into the cache, through the running agent or one of its own')
    .argument('<STORE-PATH...>')
    .option('--closure', 'and everything that they refer to')
    .action(async (paths: string[], wishes: { closure?: true }) => {
      const { fetch } = await import('./commands/fetch.ts');
      await fetch(paths, wishes, sources());
    });
}

function addCacheCommands(program: Command, sources: Sources): void {
  withExamples(program.command('pin'), [
    'pin laptop "$(readlink -f /run/current-system)"',
    'keep what this machine runs now',
  ])
    .description('keep a store path, and everything that it refers to, in the cache')
    .argument('<NAME>', 'what to call it')
    .argument('<STORE-PATH>')
    .action(async (name: string, path: string) => {
      const { pin } = await import('./commands/pin.ts');
      await pin(name, path, sources());
    });
  program
    .command('unpin')
    .description('let go of what was pinned')
    .argument('<PIN>', 'its name')
    .action(async (name: string) => {
      const { unpin } = await import('./commands/unpin.ts');
      await unpin(name, sources());
    });
  program
    .command('pins')
    .description('list what is pinned')
    .option('--json', 'as JSON')
    .action(async (wishes: { json?: true }) => {
      const { pins } = await import('./commands/pins.ts');
      await pins(wishes, sources());
    });
  program
    .command('gc')
    .description('remove from the cache directory what its limits do not let stay')
    .option('--dry-run', 'only tell what would go, and why')
    .option('--json', 'with --dry-run: as JSON')
    .action(async (wishes: { dryRun?: true; json?: true }) => {
      const { gc } = await import('./commands/gc.ts');
      await gc(wishes, sources());
    });
  program
    .command('scrub')
    .description('verify everything in the cache directory')
    .option('--repair', 'set aside what is wrong, remove what is of no use; not while an agent runs')
    .option('--json', 'the report as JSON')
    .action(async (wishes: { repair?: true; json?: true }) => {
      const { scrub } = await import('./commands/scrub.ts');
      await scrub(wishes, sources());
    });
  addRootCommands(program, sources);
}

function addRootCommands(program: Command, sources: Sources): void {
  const root = withExamples(program.command('root').helpCommand(false), [
    'root set laptop /nix/store/…-nixos-system --to http://pi:6271',
    'the Pi keeps that system, and the ones before it',
  ]).description('names that keep store paths, the newest and some before it, with all that they refer to');
  const elsewhere = (command: Command) =>
    command
      .option('--to <URL>', 'at another machine that takes uploads, such as http://pi:6271')
      .option('--netrc-file <FILE>', 'login and password for it');
  elsewhere(root.command('set'))
    .description('keep a store path under a name, in front of what it kept before')
    .argument('<NAME>', 'such as the name of the machine')
    .argument('<STORE-PATH>')
    .action(async (name: string, path: string, place: RootPlace) => {
      const { setRoot } = await import('./commands/root.ts');
      await setRoot(name, path, place, sources());
    });
  elsewhere(root.command('list'))
    .description('list all roots with what they keep, the newest first')
    .option('--json', 'as JSON')
    .action(async (wishes: RootPlace & { json?: true }) => {
      const { listRoots } = await import('./commands/root.ts');
      await listRoots(wishes, sources());
    });
  elsewhere(root.command('remove'))
    .description('let go of a name and all that it kept')
    .argument('<NAME>')
    .action(async (name: string, place: RootPlace) => {
      const { removeRoot } = await import('./commands/root.ts');
      await removeRoot(name, place, sources());
    });
}

function addSharingCommands(program: Command, sources: Sources): void {
  withPushOptions(
    withExamples(program.command('push'), [
      'push --to http://pi:6271 ./result',
      "send what was just built to the LAN's cache",
    ]),
  )
    .description('send store paths, and all that they refer to, to a cache that takes uploads')
    .argument('<STORE-PATH...>')
    .option('--to <URL>', 'where to, such as http://pi:6271')
    .option('--queue <DIR>', 'only leave the paths for push-daemon, and return at once')
    .option('--root <NAME>', 'have the cache keep the path under this name')
    .option('--dry-run', 'only say what would be sent')
    .option('--json', 'as JSON')
    .action(async (paths: string[], wishes: PushCommandWishes) => {
      const { push } = await import('./commands/push.ts');
      await push(paths, wishes, sources());
    });
  withPushOptions(program.command('push-daemon'))
    .description('push what comes into a queue, until SIGINT or SIGTERM')
    .requiredOption('--queue <DIR>', 'directory of jobs: files with store paths')
    .requiredOption('--to <URL...>', 'where to, such as http://pi:6271; several at will')
    .action(async (wishes: PushDaemonWishes) => {
      const { pushDaemon } = await import('./commands/push-daemon.ts');
      await pushDaemon(wishes, sources());
    });
  withExamples(program.command('keygen'), [
    'keygen cache.example.org-1 --secret-key-file secret --public-key-file public',
    'keys for a cache of your own',
  ])
    .description('make a key pair to sign store paths with')
    .argument('<NAME>', 'name of the key, such as cache.example.org-1')
    .option('--secret-key-file <FILE>', 'write the secret key there, not to stdout')
    .option('--public-key-file <FILE>', 'write the public key there, not to stdout')
    .action(async (name: string, files: { secretKeyFile?: string; publicKeyFile?: string }) => {
      const { keygen } = await import('./commands/keygen.ts');
      await keygen(name, files);
    });
}

function addAgentCommands(program: Command, sources: Sources): void {
  withExamples(
    program.command('serve'),
    ['serve', "as Nix's only substituter, at http://localhost:6270"],
    ['serve --option cache.max-size 5GiB', 'with another limit than the configuration has'],
  )
    .description('run the relay until SIGINT or SIGTERM')
    .action(async () => {
      const { serve } = await import('./commands/serve.ts');
      await serve(sources());
    });
}

function addShellCommands(program: Command): void {
  withExamples(
    program.command('completions'),
    [
      'completions bash > ~/.local/share/bash-completion/completions/narrowcast',
      'for every bash from now on',
    ],
    ['completions zsh > ~/.zfunc/_narrowcast', 'where ~/.zfunc is in fpath'],
    ['completions fish > ~/.config/fish/completions/narrowcast.fish', 'for every fish from now on'],
  )
    .description('print what a shell needs to complete the words of narrowcast')
    .addArgument(new Argument('<SHELL>', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completions } = await import('./commands/completions.ts');
      completions(shell, program);
    });
  withExamples(program.command('man'), ['man | man -l -', 'read it'])
    .description('print the man page')
    .action(async () => {
      const { man } = await import('./commands/man.ts');
      man(program);
    });
}

/** The options that all ways to push have. */
function withPushOptions(command: Command): Command {
  return command
    .option('--compression <NAME>', 'zstd, xz or none (zstd)')
    .option('--level <N>', 'how hard to compress: zstd 1 to 19 (3), xz 0 to 9 (6)')
    .option('--jobs <N>', 'paths to send at once (4)')
    .option('--max-rate <BYTES>', 'bytes a second to send at most, such as 500KiB')
    .option('--key-file <FILE>', 'secret key to sign what no trusted key has signed')
    .option('--netrc-file <FILE>', 'login and password (netrc-file, else ~/.netrc, /etc/nix/netrc)')
    .option('--spool-dir <DIR>', 'where packed paths wait ($XDG_CACHE_HOME/narrowcast-push)');
}

function refuseOption(): never {
  throw new InvalidArgumentError('It takes two words, KEY and VALUE.');
}

async function addReference(_program: Command, command: Command): Promise<void> {
  if (command.name() !== 'serve') return;
  const { plainText } = await import('./config/reference.ts');
  command.addHelpText('after', `\nConfiguration, with defaults:\n${plainText()}`);
}
