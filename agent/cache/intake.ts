import type { NarHash } from '../nix/hash.ts';
import type { DiskState } from './disk-state.ts';
import type { NarFile } from './layout.ts';
import type { PartialMeta, PartialNar } from './nar-cache.ts';
import type { NarIndex } from './nar-index.ts';
import { spaceOfPartial } from './partial-file.ts';
import type { PartialStore } from './partial-store.ts';
import type { Space } from './space.ts';

/** Nix may send the NARs of a whole closure before the first narinfo; more than one closure has are too many. */
const mostFiles = 20_000;

export interface IntakeParts {
  readonly disk: DiskState;
  readonly space: Space;
  readonly index: NarIndex;
  readonly uploads: PartialStore;
  /** What all uploads that are not in the cache yet may take together, in bytes. */
  readonly mostBytes: number;
}

/** NAR files on their way into the cache from outside, by their FileHash. Nothing here rejects because of the disk. */
export class Intake {
  readonly #parts: IntakeParts;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Whether a file in `nar/` is in the cache, as far as the directory has been read. */
  has(file: NarFile): boolean {
    return (this.#parts.index.nar(file)?.paths.length ?? 0) > 0;
  }

  /** What has come of a file that is not in the cache yet; undefined when nothing has. */
  async look(fileHash: NarHash): Promise<{ meta: PartialMeta; length: number } | undefined> {
    try {
      return await this.#parts.uploads.look(fileHash);
    } catch {
      return undefined;
    }
  }

  /** Whether a file of `size` bytes may come, of which `there` are there. Makes room for it. */
  async admits(size: number, there: number): Promise<'yes' | 'too large' | 'full'> {
    const { disk, space, uploads, mostBytes } = this.#parts;
    const more = spaceOfPartial(size) - spaceOfPartial(there);
    if (!disk.writable || uploads.count >= mostFiles || uploads.bytes + more > mostBytes) return 'full';
    try {
      const room = await space.hasRoomFor(more);
      if (size > space.largest) return 'too large';
      return room ? 'yes' : 'full';
    } catch (error) {
      disk.refused(error);
      return 'full';
    }
  }

  /** The file as its one owner sees it; undefined when it has another owner, or the disk does not take it. */
  async open(fileHash: NarHash): Promise<PartialNar | undefined> {
    const { disk, uploads } = this.#parts;
    if (!disk.writable) return undefined;
    try {
      return await uploads.open(fileHash);
    } catch (error) {
      disk.refused(error);
      return undefined;
    }
  }
}
