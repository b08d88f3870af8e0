import { join } from 'node:path';
import { quote } from '../nix/error.ts';
import { CacheError, isAbsent, systemCode } from './error.ts';
import type { Files } from './files.ts';
import { GroupedSync } from './grouped-sync.ts';
import { listIfThere, readSmall, writeDurably } from './small-files.ts';

/**
 * A folder of small files with names that people chose, which any process may read and change at any time. All methods reject with the
 * system's errors.
 */
export class NamedFiles {
  readonly #files: Files;
  readonly #folder: string;
  readonly #kind: 'pin' | 'root';
  readonly #longest: number;
  readonly #sync: GroupedSync;

  /** @param longest bytes of a file */
  constructor(files: Files, folder: string, kind: 'pin' | 'root', longest: number) {
    this.#files = files;
    this.#folder = folder;
    this.#kind = kind;
    this.#longest = longest;
    this.#sync = new GroupedSync(files);
  }

  /** @throws CacheError `bad-pin` or `bad-root` for a name that is none */
  check(name: string): void {
    if (isName(name)) return;
    throw new CacheError(
      `bad-${this.#kind}`,
      `${quote(name)} cannot name a ${this.#kind}: use up to 100 letters, digits, '.', '_', '+' and '-', beginning with a letter or digit.`,
    );
  }

  /** All names, sorted. */
  async names(): Promise<string[]> {
    return (await listIfThere(this.#files, this.#folder)).filter(isName).sort();
  }

  /** The text under a name; undefined where there is none, or what is there is too long or a directory. */
  async read(name: string): Promise<string | undefined> {
    try {
      const into = Buffer.alloc(this.#longest);
      return (await readSmall(this.#files, join(this.#folder, name), into))?.toString();
    } catch (error) {
      if (systemCode(error) === 'EISDIR') return undefined;
      throw error;
    }
  }

  /** Puts the text there durably, in place of what there was. */
  async write(name: string, text: string): Promise<void> {
    await this.#files.makeDirectory(this.#folder);
    const temporary = join(this.#folder, `.${name}.${process.pid}`);
    await writeDurably(this.#files, this.#sync, join(this.#folder, name), temporary, text);
  }

  /**
   * Whether there was such a file.
   * @throws CacheError as `check`
   */
  async remove(name: string): Promise<boolean> {
    this.check(name);
    try {
      await this.#files.remove(join(this.#folder, name));
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
    await this.#sync.directory(this.#folder);
    return true;
  }
}

function isName(name: string): boolean {
  return /^[0-9a-zA-Z][0-9a-zA-Z+._-]{0,99}$/.test(name);
}
