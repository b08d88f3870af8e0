import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { TemporaryDirectory } from './temporary-directory.ts';

const asRoot = process.getuid?.() === 0;
const unshareMounts = ['unshare', '--mount', ...(asRoot ? [] : ['--user', '--map-root-user'])];

/** Why a file system of a chosen size cannot be made here, in one sentence, or undefined when it can. */
export function smallDiskSkipReason(): string | undefined {
  const [file = '', ...args] = [...unshareMounts, 'mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', '/mnt'];
  const { status, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
  return status === 0 ? undefined : `No tmpfs can be mounted here: ${(error?.message ?? stderr).trim()}.`;
}

/** A file system of so many bytes, which only the commands that enter see. */
export class SmallDisk implements AsyncDisposable {
  /** Where those commands see it. */
  readonly path: string;
  readonly #directory: TemporaryDirectory;
  readonly #holder: ChildProcessByStdio<Writable, Readable, null>;

  private constructor(directory: TemporaryDirectory, holder: ChildProcessByStdio<Writable, Readable, null>) {
    this.path = directory.path;
    this.#directory = directory;
    this.#holder = holder;
  }

  static async start(bytes: number): Promise<SmallDisk> {
    const directory = await TemporaryDirectory.create('disk');
    // The namespace lives as long as a process in it; `cat` ends with our end of its pipe, however we end.
    const mount = `mount -t tmpfs -o size=${bytes} tmpfs "$0" && echo ready && exec cat`;
    const [file = '', ...args] = [...unshareMounts, 'sh', '-c', mount, directory.path];
    const holder = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(holder, 'exit').then(() => {
      throw new Error(smallDiskSkipReason() ?? 'The mount namespace ended before it was ready.');
    });
    await Promise.race([once(holder.stdout, 'data'), ended]);
    ended.catch(() => {});
    return new SmallDisk(directory, holder);
  }

  /** The same command, to be run where the disk is mounted. */
  enter(argv: readonly string[]): string[] {
    const user = asRoot ? [] : ['--user', '--preserve-credentials'];
    return ['nsenter', '--target', String(this.#holder.pid), '--mount', ...user, '--', ...argv];
  }

  /** Where we, outside, find a file of the disk. */
  locate(...names: readonly string[]): string {
    return join('/proc', String(this.#holder.pid), 'root', this.path, ...names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holder.exitCode === null) {
      const exited = once(this.#holder, 'exit');
      this.#holder.stdin.end();
      await exited;
    }
    await this.#directory[Symbol.asyncDispose]();
  }
}
