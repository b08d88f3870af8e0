import { parseStorePath } from '../nix/store-path.ts';
import { CacheError } from './error.ts';
import { type Files, realFiles } from './files.ts';
import { Layout } from './layout.ts';
import { NamedFiles } from './named-files.ts';

/** A store path that a root stands for, or stood for before. */
export interface RootEntry {
  /** When it was set, ms since the epoch. */
  readonly time: number;
  /** In full, as in `/nix/store/<hash>-<name>`. */
  readonly path: string;
}

/** A name and what it stands for, the newest first: all of it stays in the cache with everything that it refers to. */
export interface Root {
  readonly name: string;
  readonly history: readonly RootEntry[];
}

const longestFile = 65_536;
const mostRoots = 10_000;

/**
 * The roots of a cache directory: one file `roots/<name>` each, with a line `<time> <path>` for each store path. Any process may read
 * and change them at any time; the one that evicts looks each time before it does. All methods reject with the system's errors.
 */
export class Roots {
  readonly #roots: NamedFiles;
  readonly #storeDir: string;
  readonly #wall: () => number;

  /** @param wall ms since the epoch */
  constructor(dir: string, storeDir: string, files: Files = realFiles, wall: () => number = Date.now) {
    this.#roots = new NamedFiles(files, new Layout(dir).roots, 'root', longestFile);
    this.#storeDir = storeDir;
    this.#wall = wall;
  }

  /** All roots by name. */
  async list(): Promise<Root[]> {
    const roots: Root[] = [];
    for (const name of await this.#roots.names()) roots.push({ name, history: await this.#read(name) });
    return roots.filter(({ history }) => history.length > 0);
  }

  /**
   * Puts the path at the head of the root's history, of which the `keep` newest stay.
   * @throws CacheError `bad-root` for a name that is none, and when there are 10,000; FormatError for a path that is not in the store
   */
  async set(name: string, path: string, keep: number): Promise<void> {
    this.#roots.check(name);
    parseStorePath(path, this.#storeDir);
    const names = await this.#roots.names();
    if (names.length >= mostRoots && !names.includes(name))
      throw new CacheError('bad-root', `There are ${mostRoots} roots already: remove one.`);
    const former = (await this.#read(name)).filter((entry) => entry.path !== path);
    const history = [{ time: this.#wall(), path }, ...former].slice(0, keep);
    const text = history.map((one) => `${new Date(one.time).toISOString()} ${one.path}\n`).join('');
    await this.#roots.write(name, text);
  }

  /**
   * Whether there was such a root.
   * @throws CacheError `bad-root` for a name that is none
   */
  remove(name: string): Promise<boolean> {
    return this.#roots.remove(name);
  }

  async #read(name: string): Promise<RootEntry[]> {
    const text = (await this.#roots.read(name)) ?? '';
    return text.split('\n').flatMap((line) => this.#parse(line) ?? []);
  }

  #parse(line: string): RootEntry | undefined {
    const [, time = '', path = ''] = /^(\S+) (\S+)$/.exec(line) ?? [];
    try {
      parseStorePath(path, this.#storeDir);
      return { time: Date.parse(time) || 0, path };
    } catch {
      return undefined;
    }
  }
}
