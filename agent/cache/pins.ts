import { parseStorePath } from '../nix/store-path.ts';
import { type Files, realFiles } from './files.ts';
import { Layout } from './layout.ts';
import { NamedFiles } from './named-files.ts';

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
  readonly #pins: NamedFiles;
  readonly #storeDir: string;

  constructor(dir: string, storeDir: string, files: Files = realFiles) {
    this.#pins = new NamedFiles(files, new Layout(dir).pins, 'pin', longestPath);
    this.#storeDir = storeDir;
  }

  /** All pins by name; files that hold no store path are passed over. */
  async list(): Promise<Pin[]> {
    const pins: Pin[] = [];
    for (const name of await this.#pins.names()) {
      const path = (await this.#pins.read(name))?.trim();
      if (path !== undefined && this.#isStorePath(path)) pins.push({ name, path });
    }
    return pins;
  }

  /**
   * Pins the path under that name, in place of what the name stood for.
   * @throws CacheError `bad-pin` for a name that is none, FormatError for a path that is not in the store
   */
  async pin(name: string, path: string): Promise<void> {
    this.#pins.check(name);
    parseStorePath(path, this.#storeDir);
    await this.#pins.write(name, `${path}\n`);
  }

  /**
   * Whether there was such a pin.
   * @throws CacheError `bad-pin` for a name that is none
   */
  unpin(name: string): Promise<boolean> {
    return this.#pins.remove(name);
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
