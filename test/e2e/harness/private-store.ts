import { spawnSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Offline } from './offline.ts';
import { type Outcome, runCommand } from './run-command.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** Nix settings by their names in nix.conf. */
export type NixOptions = Readonly<Record<string, string>>;

export interface PrivateStoreOptions {
  /** Settings for every command, over the harness's own. */
  readonly options?: NixOptions;
  /** The network that its commands see; the machine's own when left out. */
  readonly inside?: Pick<Offline, 'enter'>;
}

export interface NixRunOptions {
  /** Settings for this command only, over those of the store. */
  readonly options?: NixOptions;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

const asRoot = process.getuid?.() === 0;
const unshareMounts = ['unshare', '--mount', ...(asRoot ? [] : ['--user', '--map-root-user'])];

/** As on a machine without a daemon and without channels: nothing is shared with the store of this machine. */
const baseOptions: NixOptions = {
  sandbox: 'false',
  'build-users-group': '',
  'experimental-features': 'nix-command',
  substituters: '',
  'trusted-public-keys': '',
  'max-jobs': '2',
  'fsync-metadata': 'false',
  fallback: 'false',
};

/** Why a private /nix/store cannot be made here, in one sentence, or undefined when it can. */
export function privateStoreSkipReason(): string | undefined {
  const mount = spawnSync(
    'sh',
    [
      '-c',
      'mkdir -p /nix && exec "$@"',
      'sh',
      ...unshareMounts,
      'sh',
      '-c',
      'mount --bind "$0" /nix',
      tmpdir(),
    ],
    { encoding: 'utf8' },
  );
  if (mount.status !== 0) {
    return `No private /nix can be mounted here: ${(mount.error?.message ?? mount.stderr).trim()}.`;
  }
  const nix = spawnSync('nix', ['--version'], {
    env: { PATH: searchPath(), HOME: tmpdir() },
  });
  return nix.status === 0 ? undefined : 'No Nix is on PATH (or in NARROWCAST_NIX_BIN).';
}

/**
 * A fresh and genuine /nix/store: every command runs in a mount namespace where /nix is a temporary directory, with its own
 * HOME and nix.conf and no daemon. The Nix on PATH is used, or the one in the directory that NARROWCAST_NIX_BIN names
 * (outside /nix, which is hidden).
 */
export class PrivateStore implements AsyncDisposable {
  readonly #directory: TemporaryDirectory;
  readonly #options: NixOptions;
  readonly #inside: Pick<Offline, 'enter'> | undefined;

  private constructor(directory: TemporaryDirectory, { options, inside }: PrivateStoreOptions) {
    this.#directory = directory;
    this.#options = { ...baseOptions, ...options };
    this.#inside = inside;
  }

  static async create(options: PrivateStoreOptions = {}): Promise<PrivateStore> {
    const directory = await TemporaryDirectory.create('store');
    for (const name of ['nix', 'home', 'conf', 'tmp']) await mkdir(join(directory.path, name));
    await writeFile(join(directory.path, 'conf', 'nix.conf'), '');
    return new PrivateStore(directory, options);
  }

  /** Runs a command with this store as its /nix. */
  run(argv: readonly string[], { options, ...rest }: NixRunOptions = {}): Promise<Outcome> {
    const { path } = this.#directory;
    const mounted = [
      ...unshareMounts,
      'sh',
      '-c',
      'mount --bind "$0" /nix && exec "$@"',
      join(path, 'nix'),
      ...argv,
    ];
    return runCommand(this.#inside ? this.#inside.enter(mounted) : mounted, {
      ...rest,
      env: {
        PATH: searchPath(),
        HOME: join(path, 'home'),
        TMPDIR: join(path, 'tmp'),
        LANG: 'C.UTF-8',
        NIX_REMOTE: 'local',
        NIX_CONF_DIR: join(path, 'conf'),
        NIX_CONFIG: printOptions({ ...this.#options, ...options }),
      },
    });
  }

  /** Like {@link run}, and throws an Error with the command and its stderr unless it succeeds. */
  async mustRun(argv: readonly string[], options: NixRunOptions = {}): Promise<Outcome> {
    const outcome = await this.run(argv, options);
    if (outcome.code !== 0) {
      throw new Error(`${argv.join(' ')} ended with ${outcome.code ?? 'a signal'}:\n${outcome.stderr}`);
    }
    return outcome;
  }

  /** Whether Nix counts the path as valid here. */
  async has(path: string): Promise<boolean> {
    return (await this.run(['nix-store', '--check-validity', path])).code === 0;
  }

  /** `nix store verify`: contents hashed again, and a trusted signature (or a content address) demanded for each path. */
  verify(paths: readonly string[], options: NixOptions = {}): Promise<Outcome> {
    return this.run(['nix', 'store', 'verify', ...paths], { options });
  }

  /** Like {@link verify}, and throws an Error with what Nix says unless all are right. */
  async mustVerify(paths: readonly { readonly path: string }[]): Promise<void> {
    await this.mustRun(['nix', 'store', 'verify', ...paths.map(({ path }) => path)]);
  }

  /** Where a store path lies outside of the namespace. */
  locate(path: string): string {
    return join(this.#directory.path, 'nix', 'store', basename(path));
  }

  /** Empties Nix's own memory of narinfos and caches (`~/.cache/nix`), as if its lifetimes had passed. */
  async forgetNarinfos(): Promise<void> {
    await rm(join(this.#directory.path, 'home', '.cache'), { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#directory[Symbol.asyncDispose]();
  }
}

function searchPath(): string {
  const { NARROWCAST_NIX_BIN, PATH = '/usr/bin:/bin' } = process.env;
  return NARROWCAST_NIX_BIN ? `${NARROWCAST_NIX_BIN}:${PATH}` : PATH;
}

function printOptions(options: NixOptions): string {
  return Object.entries(options)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('');
}
