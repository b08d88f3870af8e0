import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { type Outcome, type RunOptions, runCommand } from './run-command.ts';

const asRoot = process.getuid?.() === 0;
const unshareNetwork = ['unshare', '--net', ...(asRoot ? [] : ['--user', '--map-root-user'])];

/** Why network namespaces cannot be made here, in one sentence, or undefined when they can. */
export function offlineSkipReason(): string | undefined {
  const { status, stderr, error } = spawnSync(
    'unshare',
    [...unshareNetwork.slice(1), 'ip', 'link', 'set', 'lo', 'up'],
    {
      encoding: 'utf8',
    },
  );
  if (status === 0) return undefined;
  return `No network namespace can be made here: ${(error?.message ?? stderr).trim()}.`;
}

/** A network namespace in which there is a loopback interface and nothing else: the machine on a plane. */
export class Offline implements AsyncDisposable {
  readonly #holder: ChildProcessByStdio<Writable, Readable, null>;

  private constructor(holder: ChildProcessByStdio<Writable, Readable, null>) {
    this.#holder = holder;
  }

  static async start(): Promise<Offline> {
    // The namespace lives as long as a process in it; `cat` ends with our end of its pipe, however we end.
    const [file = '', ...args] = [
      ...unshareNetwork,
      'sh',
      '-c',
      'ip link set lo up && echo ready && exec cat',
    ];
    const holder = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(holder, 'exit').then(() => {
      throw new Error(offlineSkipReason() ?? 'The network namespace ended before it was ready.');
    });
    await Promise.race([once(holder.stdout, 'data'), ended]);
    ended.catch(() => {});
    return new Offline(holder);
  }

  /** The same command, to be run with this namespace as its network. */
  enter(argv: readonly string[]): string[] {
    const user = asRoot ? [] : ['--user', '--preserve-credentials'];
    return ['nsenter', '--target', String(this.#holder.pid), '--net', ...user, '--', ...argv];
  }

  /** Runs a command inside, for example curl against a server that listens there. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runCommand(this.enter(argv), options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holder.exitCode !== null) return;
    const exited = once(this.#holder, 'exit');
    this.#holder.stdin.end();
    await exited;
  }
}
