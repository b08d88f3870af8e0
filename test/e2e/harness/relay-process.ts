import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'smol-toml';
import type { Offline } from './offline.ts';
import { packagedEnv, packagedNodeArguments } from './packaged.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** Keys and tables of narrowcast's configuration file. */
export type RelayConfig = Readonly<Record<string, unknown>>;

export interface RelayOptions {
  /** Where it lives: its network, or its file systems; the machine's own when left out. */
  readonly inside?: Pick<Offline, 'enter'>;
  /** The program; that of the sources when left out. */
  readonly main?: string;
  /** Environment beside PATH, HOME and XDG_CACHE_HOME. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A line of the relay's log, as pino writes it. */
export interface LogLine {
  readonly level?: string;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

/** Resident memory in bytes. */
export interface Memory {
  readonly now: number;
  readonly peak: number;
}

const fromSources = join(import.meta.dirname, '../../../agent/main.ts');
/** No neighbours, unless a test wants them: its network is its own. */
const alone = { discover: false, advertise: false, listen: '' };
const readyWithinMs = 15_000;

/** `narrowcast serve` as a process of its own, on a free port, with a configuration, home and cache directory of its own. */
export class RelayProcess implements AsyncDisposable {
  /** As logged: `http://localhost:PORT`. */
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #directory: TemporaryDirectory;
  readonly #log: Log;

  private constructor(url: string, process: ChildProcess, directory: TemporaryDirectory, log: Log) {
    this.url = url;
    this.#process = process;
    this.#directory = directory;
    this.#log = log;
  }

  /** Starts it and waits until it listens. Throws with its log when it ends before that, or does not listen within 15 s. */
  static async start(
    config: RelayConfig,
    { inside, main = fromSources, env = {} }: RelayOptions = {},
  ): Promise<RelayProcess> {
    const directory = await TemporaryDirectory.create('relay');
    const configFile = join(directory.path, 'narrowcast.toml');
    const cache = { dir: join(directory.path, 'cache') };
    await writeFile(configFile, stringify({ listen: 'localhost:0', cache, lan: alone, ...config }));

    const command = [process.execPath, ...packagedNodeArguments, main, 'serve', '--config', configFile];
    const [file = '', ...args] = inside ? inside.enter(command) : command;
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: directory.path,
      env: {
        ...packagedEnv,
        PATH: process.env['PATH'] ?? '',
        HOME: directory.path,
        XDG_CACHE_HOME: join(directory.path, '.cache'),
        ...env,
      },
    });

    const log = new Log();
    try {
      return new RelayProcess(await readiness(child, log), child, directory, log);
    } catch (error) {
      await end(child);
      await directory[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Everything logged so far; a line that is not JSON is its own `msg`. */
  logs(): readonly LogLine[] {
    return this.#log.lines;
  }

  /** The first line with this message. Waits for it, for as long as given, and then throws. */
  async logged(msg: string, withinMs = 15_000): Promise<LogLine> {
    const signal = AbortSignal.timeout(withinMs);
    for (;;) {
      const line = this.#log.lines.find((line) => line.msg === msg);
      if (line !== undefined) return line;
      await once(this.#log, 'line', { signal });
    }
  }

  async memory(): Promise<Memory> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    const bytes = (key: string) =>
      Number(status.match(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm'))?.[1]) * 1024;
    return { now: bytes('VmRSS'), peak: bytes('VmHWM') };
  }

  /** SIGTERM, SIGKILL 15 s later. Returns its exit code, null when a signal ended it. */
  stop(): Promise<number | null> {
    return end(this.#process);
  }

  /** kill -9. Resolves when it is gone. */
  async kill(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#directory[Symbol.asyncDispose]();
  }
}

/** All lines so far; emits 'line' with each. */
class Log extends EventEmitter<{ line: [] }> {
  readonly lines: LogLine[] = [];

  add(line: LogLine): void {
    this.lines.push(line);
    this.emit('line');
  }
}

/** Collects the log for as long as the process lives; the returned promise settles with the URL of the line that says it listens. */
function readiness(child: ChildProcess, log: Log): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      reject(new Error(`The relay ${what}:\n${log.lines.map((line) => JSON.stringify(line)).join('\n')}`));
    };
    const timer = setTimeout(() => fail(`does not listen after ${readyWithinMs} ms`), readyWithinMs);
    for (const output of [child.stdout, child.stderr]) {
      if (output === null) continue;
      createInterface({ input: output }).on('line', (text) => {
        const line = parseLine(text);
        log.add(line);
        if (line.msg === 'listening' && typeof line['url'] === 'string') {
          clearTimeout(timer);
          resolve(line['url']);
        }
      });
    }
    child.once('error', (error) => fail(`cannot be started (${error.message})`));
    child.once('close', (code) => {
      clearTimeout(timer);
      fail(`ended with ${code ?? 'a signal'} before it listened`);
    });
  });
}

function parseLine(text: string): LogLine {
  try {
    return JSON.parse(text);
  } catch {
    return { msg: text };
  }
}

async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const killTimer = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await exited;
    clearTimeout(killTimer);
  }
  return child.exitCode;
}
