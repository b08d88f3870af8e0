import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError } from '../nix/error.ts';
import { parseStorePath, type StorePath } from '../nix/store-path.ts';

/** Store paths that somebody wants pushed, to one server. */
export interface Job {
  readonly name: string;
  readonly paths: readonly StorePath[];
}

/** More jobs than this do not wait for one server. */
export const mostJobs = 10_000;
const maxJobBytes = 64 * 1024;

/**
 * A directory of jobs: plain files with store paths between white space. Whoever adds one writes it under a name that begins with a
 * dot, and renames it; that is all that a post-build-hook has to do. Each job is handed to each server, in a directory of its own below
 * `.to`, so that one that is away holds up no other. Every step leaves the directory right if it is the last one before a power failure.
 */
export class Queue {
  readonly dir: string;
  readonly #storeDir: string;
  readonly #servers: readonly string[];

  private constructor(dir: string, storeDir: string, servers: readonly string[]) {
    this.dir = dir;
    this.#storeDir = storeDir;
    this.#servers = servers;
  }

  /** Opens the queue for these servers, by names that are fit for files; makes it where it is not. */
  static async open(dir: string, storeDir: string, servers: readonly string[]): Promise<Queue> {
    await mkdir(dir, { recursive: true });
    const queue = new Queue(dir, storeDir, servers);
    for (const server of servers) await mkdir(queue.#dirOf(server), { recursive: true });
    return queue;
  }

  /** Adds a job. */
  async add(paths: readonly string[]): Promise<void> {
    const name = `${Date.now()}-${randomBytes(6).toString('hex')}`;
    await put(this.dir, name, `${paths.join('\n')}\n`);
  }

  /** Hands new jobs to the servers; resolves to how many found no room with one of them. */
  async handOut(): Promise<number> {
    let dropped = 0;
    const waiting = new Map<string, Set<string>>();
    for (const server of this.#servers) waiting.set(server, new Set(await namesIn(this.#dirOf(server))));
    for (const name of await namesIn(this.dir)) {
      const text = await textOf(join(this.dir, name));
      for (const [server, names] of waiting) {
        if (names.size < mostJobs || names.has(name)) await put(this.#dirOf(server), name, text);
        else dropped += 1;
        names.add(name);
      }
      await rm(join(this.dir, name), { force: true });
    }
    return dropped;
  }

  /** The jobs for a server that have waited longest, so many at most; what is no job is removed. */
  async next(server: string, most: number): Promise<Job[]> {
    const dir = this.#dirOf(server);
    const aged: { name: string; since: number }[] = [];
    for (const name of await namesIn(dir)) aged.push({ name, since: (await stat(join(dir, name))).mtimeMs });
    aged.sort((a, b) => a.since - b.since || (a.name < b.name ? -1 : 1));
    const jobs: Job[] = [];
    for (const { name } of aged.slice(0, most)) {
      const paths = this.#pathsIn(await textOf(join(dir, name)));
      if (paths.length > 0) jobs.push({ name, paths });
      else await this.done(server, name);
    }
    return jobs;
  }

  /** The job is no longer wanted. */
  async done(server: string, name: string): Promise<void> {
    await rm(join(this.#dirOf(server), name), { force: true });
  }

  /** The job comes after all others that wait now. */
  async postpone(server: string, name: string): Promise<void> {
    const now = new Date();
    await utimes(join(this.#dirOf(server), name), now, now);
  }

  #dirOf(server: string): string {
    return join(this.dir, '.to', server);
  }

  /** Words that are no store paths are passed over. */
  #pathsIn(text: string): StorePath[] {
    return text.split(/\s+/).flatMap((word) => {
      try {
        return parseStorePath(word, this.#storeDir);
      } catch (error) {
        if (error instanceof FormatError) return [];
        throw error;
      }
    });
  }
}

/** The jobs in a directory: all but what is hidden and what is no file. */
async function namesIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.')).map(({ name }) => name);
}

async function put(dir: string, name: string, text: string): Promise<void> {
  const temporary = join(dir, `.${name}.${randomBytes(4).toString('hex')}`);
  await writeFile(temporary, text, { flush: true });
  await rename(temporary, join(dir, name));
}

/** The text of a job, up to what one may have. */
async function textOf(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(maxJobBytes), 0, maxJobBytes, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
