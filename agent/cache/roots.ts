import { join } from 'node:path';
import { quote } from '../nix/error.ts';
import { parseStorePath } from '../nix/store-path.ts';
import { CacheError, isAbsent, systemCode } from './error.ts';
import { type Files, realFiles } from './files.ts';
import { GroupedSync } from './grouped-sync.ts';
import { Layout } from './layout.ts';
import { listIfThere, readSmall, writeDurably } from './small-files.ts';

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
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #storeDir: string;
  readonly #sync: GroupedSync;
  readonly #wall: () => number;

  /** @param wall ms since the epoch */
  constructor(dir: string, storeDir: string, files: Files = realFiles, wall: () => number = Date.now) {
    this.#files = files;
    this.#layout = new Layout(dir);
    this.#storeDir = storeDir;
    this.#sync = new GroupedSync(files);
    this.#wall = wall;
  }

  /** All roots by name. */
  async list(): Promise<Root[]> {
    const names = (await listIfThere(this.#files, this.#layout.roots)).filter(isRootName).sort();
    const roots: Root[] = [];
    for (const name of names) roots.push({ name, history: await this.#read(name) });
    return roots.filter(({ history }) => history.length > 0);
  }

  /**
   * Puts the path at the head of the root's history, of which the `keep` newest stay.
   * @throws CacheError `bad-root` for a name that is none, and when there are 10,000; FormatError for a path that is not in the store
   */
  async set(name: string, path: string, keep: number): Promise<void> {
    checkName(name);
    parseStorePath(path, this.#storeDir);
    const { roots } = this.#layout;
    const names = await listIfThere(this.#files, roots);
    if (names.length >= mostRoots && !names.includes(name))
      throw new CacheError('bad-root', `There are ${mostRoots} roots already: remove one.`);
    const former = (await this.#read(name)).filter((entry) => entry.path !== path);
    const history = [{ time: this.#wall(), path }, ...former].slice(0, keep);
    const text = history.map((one) => `${new Date(one.time).toISOString()} ${one.path}\n`).join('');
    await this.#files.makeDirectory(roots);
    await writeDurably(
      this.#files,
      this.#sync,
      join(roots, name),
      join(roots, `.${name}.${process.pid}`),
      text,
    );
  }

  /**
   * Whether there was such a root.
   * @throws CacheError `bad-root` for a name that is none
   */
  async remove(name: string): Promise<boolean> {
    checkName(name);
    try {
      await this.#files.remove(join(this.#layout.roots, name));
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
    await this.#sync.directory(this.#layout.roots);
    return true;
  }

  async #read(name: string): Promise<RootEntry[]> {
    try {
      const bytes = await readSmall(this.#files, join(this.#layout.roots, name), Buffer.alloc(longestFile));
      return (bytes?.toString() ?? '').split('\n').flatMap((line) => this.#parse(line) ?? []);
    } catch (error) {
      if (systemCode(error) === 'EISDIR') return [];
      throw error;
    }
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

function checkName(name: string): void {
  if (isRootName(name)) return;
  throw new CacheError(
    'bad-root',
    `${quote(name)} cannot name a root: use up to 100 letters, digits, '.', '_', '+' and '-', beginning with a letter or digit.`,
  );
}

function isRootName(name: string): boolean {
  return /^[0-9a-zA-Z][0-9a-zA-Z+._-]{0,99}$/.test(name);
}
