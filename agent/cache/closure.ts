import { FormatError } from '../nix/error.ts';
import { referencesOf } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { isAbsent } from './error.ts';
import { type Files, realFiles } from './files.ts';
import { GroupedSync } from './grouped-sync.ts';
import { inTurns } from './in-turns.ts';
import { hashPartOfName, Layout } from './layout.ts';
import { NarIndex } from './nar-index.ts';
import { NarinfoFiles } from './narinfo-files.ts';
import { listIfThere } from './small-files.ts';

/**
 * A path of this closure that is not in the cache directory, as the disk has it now; undefined when all are. Rejects with the system's
 * errors.
 */
export function lacksOnDisk(
  dir: string,
  storeDir: string,
  path: HashPart,
  files: Files = realFiles,
): Promise<HashPart | undefined> {
  const layout = new Layout(dir);
  const narinfos = new NarinfoFiles(files, layout, new GroupedSync(files), storeDir);
  const isRead = () => false;
  return new Closures({ files, layout, index: new NarIndex(), narinfos, isRead }).lacks(path);
}

export interface ClosureParts {
  readonly files: Files;
  readonly layout: Layout;
  readonly index: NarIndex;
  readonly narinfos: NarinfoFiles;
  /** Whether all of the directory is in the index. */
  readonly isRead: () => boolean;
}

/** Which paths are here, and with everything that they refer to. Rejects with the system's errors. */
export class Closures {
  readonly #parts: ClosureParts;

  constructor(parts: ClosureParts) {
    this.#parts = parts;
  }

  /** A path of this closure that is not here; undefined when all are. */
  async lacks(path: HashPart): Promise<HashPart | undefined> {
    const seen = new Set([path]);
    for (const next of seen) {
      const references = await this.#references(next);
      if (references === undefined) return next;
      for (const reference of references) seen.add(reference);
    }
    return undefined;
  }

  /** All paths of which there are narinfos. */
  async paths(): Promise<readonly HashPart[]> {
    const { files, layout, index, isRead } = this.#parts;
    if (isRead()) {
      const paths: HashPart[] = [];
      await inTurns(index.everyPath(), (path) => paths.push(path));
      return paths;
    }
    return (await listIfThere(files, layout.dir)).flatMap((name) => hashPartOfName(name) ?? []);
  }

  /** Undefined when the path is not here. */
  async #references(path: HashPart): Promise<readonly HashPart[] | undefined> {
    const { index, narinfos } = this.#parts;
    const known = index.referencesOf(path);
    if (known !== undefined) return known;
    try {
      const narinfo = await narinfos.read(path);
      const stored = narinfo && (await narinfos.nar(narinfo));
      return stored && referencesOf(stored.narinfo);
    } catch (error) {
      if (error instanceof FormatError || isAbsent(error)) return undefined;
      throw error;
    }
  }
}
