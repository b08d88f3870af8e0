import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { stringify } from 'smol-toml';
import { parse } from 'valibot';
import { type Stats, statsSchema } from '../../agent/http/stats-schema.ts';
import { packagedEnv, packagedNodeArguments } from '../e2e/harness/packaged.ts';
import { freePort } from '../e2e/harness/ports.ts';
import { mustRun } from '../e2e/harness/run-command.ts';
import { TemporaryDirectory } from '../e2e/harness/temporary-directory.ts';

export interface RelayOptions {
  /** The entry of the program. */
  readonly program: string;
  readonly substituter: string;
  /** `name:base64`; the default keys when left out. */
  readonly publicKey?: string;
  /** A cache directory to begin with, which is copied; an empty one when left out. */
  readonly cacheDirectory?: string;
  /** A file of certificates to trust beside the usual ones. */
  readonly certificate?: string;
  /** Caches on the LAN. */
  readonly peers?: readonly string[];
  /** For Node itself. */
  readonly nodeArguments?: readonly string[];
}

/** What Node made of the program at its first start, as where it is installed. */
const compiledCode = join(import.meta.dirname, '../../.cache/compiled-code');

/** `narrowcast serve` in a process of its own. */
export class Relay implements AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** From spawning the process to the whole first answer, in ms. */
  readonly startedIn: number;
  readonly cacheDirectory: string;
  readonly #process: ChildProcess;
  readonly #directory: TemporaryDirectory;

  private constructor(url: string, startedIn: number, process: ChildProcess, directory: TemporaryDirectory) {
    this.url = url;
    this.startedIn = startedIn;
    this.cacheDirectory = join(directory.path, 'cache');
    this.#process = process;
    this.#directory = directory;
  }

  /** Starts it and waits for its first answer. Throws when it ends before that. */
  static async start(options: RelayOptions): Promise<Relay> {
    const {
      program,
      substituter,
      publicKey,
      cacheDirectory,
      certificate,
      nodeArguments = [],
      peers = [],
    } = options;
    const directory = await TemporaryDirectory.create('bench');
    const cache = join(directory.path, 'cache');
    if (cacheDirectory !== undefined) await mustRun(['cp', '-a', cacheDirectory, cache]);
    const port = await freePort();
    const configuration = {
      listen: `localhost:${port}`,
      substituters: [substituter],
      ...(publicKey && { 'trusted-public-keys': [publicKey] }),
      'log-level': 'warn',
      cache: { dir: cache },
      lan: { listen: '', discover: false, advertise: false, peers },
    };
    const file = join(directory.path, 'narrowcast.toml');
    await writeFile(file, stringify(configuration));
    const env = {
      ...packagedEnv,
      NODE_COMPILE_CACHE: compiledCode,
      PATH: process.env['PATH'] ?? '',
      HOME: directory.path,
      ...(certificate !== undefined && { NODE_EXTRA_CA_CERTS: certificate }),
    };
    const started = performance.now();
    const child = spawn(
      process.execPath,
      [...packagedNodeArguments, ...nodeArguments, program, 'serve', '--config', file],
      {
        env,
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    const url = `http://127.0.0.1:${port}`;
    while (!(await answers(url))) {
      if (child.exitCode !== null)
        throw new Error(`The relay ended with ${child.exitCode} before it answered.`);
      await setTimeout(1);
    }
    return new Relay(url, performance.now() - started, child, directory);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The URL of the NAR that this relay names for a path. */
  async narUrl(hashPart: string): Promise<string> {
    const narinfo = await (await fetch(`${this.url}/${hashPart}.narinfo`)).text();
    return `${this.url}/${/^URL: (.*)$/m.exec(narinfo)?.[1]}`;
  }

  /**
   * What it says of itself, once that is as wished.
   * @throws Error when it is not within a minute
   */
  async statsWhen(wished: (stats: Stats) => boolean): Promise<Stats> {
    for (let waited = 0; waited < 60_000; waited += 50) {
      const stats = parse(statsSchema, await (await fetch(`${this.url}/stats`)).json());
      if (wished(stats)) return stats;
      await setTimeout(50);
    }
    throw new Error('The relay did not come into the state that was waited for within a minute.');
  }

  /** Resident memory in bytes, now and at its peak. */
  async memory(): Promise<{ now: number; peak: number }> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    const bytes = (key: string) =>
      Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1_024;
    return { now: bytes('VmRSS'), peak: bytes('VmHWM') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await exited;
    await this.#directory[Symbol.asyncDispose]();
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/nix-cache-info`);
    await response.text();
    return response.status === 200;
  } catch {
    return false;
  }
}
