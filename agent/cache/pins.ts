import { join } from 'node:path';
import { quote } from '../nix/error.ts';
import { parseStorePath } from '../nix/store-path.ts';
import { CacheError, isAbsent, systemCode } from './error.ts';
import { type Files, realFiles } from './files.ts';
import { GroupedSync } from './grouped-sync.ts';
import { Layout } from './layout.ts';
import { listIfThere, readSmall, writeDurably } from './small-files.ts';

/** A store path that stays in the cache with everything that it refers to. */
export interface Pin {
  readonly name: string;
  /** In full, as in `/nix/store/<hash>-<name>`. */
  readonly path: string;
}

const longestPath = 4096;

/**
 * The pins of a cache directory: one file `pins/<name>` each, with the path in it. Any process may read and change them at any time;
 * the one that evicts looks each time before it does. All methods reject with the system's errors.
 */
export class Pins {
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #storeDir: string;
  readonly #sync: GroupedSync;

  constructor(dir: string, storeDir: string, files: Files = realFiles) {
    this.#files = files;
    this.#layout = new Layout(dir);
    this.#storeDir = storeDir;
    this.#sync = new GroupedSync(files);
  }

  /** All pins by name; files that hold no store path are passed over. */
  async list(): Promise<Pin[]> {
    const names = await listIfThere(this.#files, this.#layout.pins);
    const pins: Pin[] = [];
    for (const name of names.filter(isPinName).sort()) {
      const path = await this.#read(name);
      if (path !== undefined && this.#isStorePath(path)) pins.push({ name, path });
    }
    return pins;
  }

  /**
   * Pins the path under that name, in place of what the name stood for.
   * @throws CacheError `bad-pin` for a name that is none, FormatError for a path that is not in the store
   */
  async pin(name: string, path: string): Promise<void> {
    checkName(name);
    parseStorePath(path, this.#storeDir);
    await this.#files.makeDirectory(this.#layout.pins);
    const temporary = join(this.#layout.pins, `.${name}.${process.pid}`);
    await writeDurably(this.#files, this.#sync, join(this.#layout.pins, name), temporary, `${path}\n`);
  }

  /**
   * Whether there was such a pin.
   * @throws CacheError `bad-pin` for a name that is none
   */
  async unpin(name: string): Promise<boolean> {
    checkName(name);
    try {
      await this.#files.remove(join(this.#layout.pins, name));
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
    await this.#sync.directory(this.#layout.pins);
    return true;
  }

  async #read(name: string): Promise<string | undefined> {
    try {
      const bytes = await readSmall(this.#files, join(this.#layout.pins, name), Buffer.alloc(longestPath));
      return bytes?.toString().trim();
    } catch (error) {
      if (systemCode(error) === 'EISDIR') return undefined;
      throw error;
    }
  }

  #isStorePath(path: string): boolean {
    try {
      parseStorePath(path, this.#storeDir);
      return true;
    } catch {
      return false;
    }
  }
}

function checkName(name: string): void {
  if (isPinName(name)) return;
  throw new CacheError(
    'bad-pin',
    `${quote(name)} cannot name a pin: use up to 100 letters, digits, '.', '_', '+' and '-', beginning with a letter or digit.`,
  );
}

function isPinName(name: string): boolean {
  return /^[0-9a-zA-Z][0-9a-zA-Z+._-]{0,99}$/.test(name);
}
