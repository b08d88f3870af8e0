import { FormatError } from '../nix/error.ts';
import { type Narinfo, referencesOf } from '../nix/narinfo.ts';
import { type HashPart, parseStorePath } from '../nix/store-path.ts';
import type { NarinfoFiles } from './narinfo-files.ts';
import { packedHashParts } from './packings.ts';
import { TextTable } from './text-table.ts';

/**
 * Which paths are pinned: those of pins and roots and all that they refer to, as far as the stored narinfos tell. What is not stored
 * yet counts, so that a closure can be pinned before it is fetched.
 */
export class PinnedClosure {
  readonly #pins: () => Promise<readonly string[]>;
  readonly #storeDir: string;
  readonly #narinfos: Pick<NarinfoFiles, 'read'>;
  /** What the closure was made from; undefined when it must be made anew. */
  #roots: string | undefined;
  #paths = new TextTable(packedHashParts);

  /** @param pins the full store paths that are pinned now */
  constructor(
    pins: () => Promise<readonly string[]>,
    storeDir: string,
    narinfos: Pick<NarinfoFiles, 'read'>,
  ) {
    this.#pins = pins;
    this.#storeDir = storeDir;
    this.#narinfos = narinfos;
  }

  has(path: HashPart): boolean {
    return this.#paths.find(path) !== 0;
  }

  /** Looks what is pinned now. Rejects when the disk fails: then nothing may be evicted. */
  async refresh(): Promise<void> {
    const paths = await this.#pins();
    const roots = paths.join('\n');
    if (roots === this.#roots) return;
    this.#paths = new TextTable(packedHashParts);
    await this.#add(paths.map((path) => parseStorePath(path, this.#storeDir).hashPart));
    this.#roots = roots;
  }

  /** A narinfo has come in: if its path is pinned, so are its references. */
  async grow(narinfo: Narinfo): Promise<void> {
    if (!this.has(narinfo.storePath.hashPart)) return;
    await this.#add(referencesOf(narinfo)).catch(() => {
      this.#roots = undefined;
    });
  }

  async #add(paths: readonly HashPart[]): Promise<void> {
    const queue = [...paths];
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (this.has(path)) continue;
      this.#paths.add(path);
      queue.push(...(await this.#references(path)));
    }
  }

  async #references(path: HashPart): Promise<HashPart[]> {
    try {
      const narinfo = await this.#narinfos.read(path);
      return narinfo === undefined ? [] : referencesOf(narinfo);
    } catch (error) {
      if (error instanceof FormatError) return [];
      throw error;
    }
  }
}
