import type { HashPart } from '../nix/store-path.ts';
import { isAbsent } from './error.ts';
import type { FileFacts, Files } from './files.ts';
import { inParallel } from './in-parallel.ts';
import { inTurns } from './in-turns.ts';
import { hashPartOfName, isNarFile, type Layout, type NarFile } from './layout.ts';
import { leanHeap } from './lean-heap.ts';
import type { NarIndex, StoredNar } from './nar-index.ts';
import { NarinfoFactsReader } from './narinfo-facts.ts';
import { listIfThere } from './small-files.ts';

/** Enough to keep the disk busy, few enough that requests get their turn in the thread pool. */
const parallel = 8;

/** What a scan met that has no place in the index. */
export interface ScanReport {
  /** Narinfos whose NAR is not there. */
  readonly dangling: number;
  /** Narinfos that could not be read or are none. */
  readonly unreadable: number;
}

/**
 * Brings the index up to date with the directory: adds what it does not know (the first time that is all), drops what is gone, and
 * notes uses by others, such as a web server on the same directory. Narinfos that are known are not read again. Requests can be
 * served, and entries added and removed, while it runs. Rejects when the directories cannot be listed, or when aborted.
 */
export async function scan(
  files: Files,
  layout: Layout,
  index: NarIndex,
  signal: AbortSignal,
): Promise<ScanReport> {
  using _lean = leanHeap();
  const paths = new Set<HashPart>();
  await inTurns(await listIfThere(files, layout.dir), (name) => {
    const path = hashPartOfName(name);
    if (path !== undefined) paths.add(path);
  });
  const unlisted: HashPart[] = [];
  await inTurns(index.everyPath(), (path) => {
    // What stays in the set is new.
    if (!paths.delete(path)) unlisted.push(path);
  });
  const entries = new Entries(files, layout, index);
  await inParallel(parallel, unlisted, signal, (path) => entries.dropPathIfGone(path));
  await inParallel(parallel, index.leastRecent(), signal, (nar) => entries.bringUpToDate(nar));
  await inParallel(parallel, paths, signal, (path) => entries.addPath(path));
  paths.clear();

  const nobodys: NarFile[] = [];
  await inTurns(await listIfThere(files, layout.nars), (file) => {
    if (isNarFile(file) && !index.has(file)) nobodys.push(file);
  });
  const { dangling, unreadable } = entries;
  // A NAR may be named by a narinfo that could not be read: then it is not to be evicted as nobody's.
  if (unreadable === 0) await inParallel(parallel, nobodys, signal, (file) => entries.addNobodys(file));
  index.sort();
  return { dangling, unreadable };
}

/** The steps of a scan that ask the disk about one entry. What they find goes straight into the index, where it takes the least room. */
class Entries {
  dangling = 0;
  unreadable = 0;
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #index: NarIndex;
  readonly #narinfos: NarinfoFactsReader;

  constructor(files: Files, layout: Layout, index: NarIndex) {
    this.#files = files;
    this.#layout = layout;
    this.#index = index;
    this.#narinfos = new NarinfoFactsReader(files);
  }

  /** It was not there when the directory was listed. It may have been written since. */
  async dropPathIfGone(path: HashPart): Promise<void> {
    if ((await this.#stat(this.#layout.narinfo(path))) === 'gone') this.#index.dropPath(path);
  }

  async bringUpToDate({ file, size, narHash, lastUse }: StoredNar): Promise<void> {
    const facts = await this.#stat(this.#layout.nar(file));
    if (facts === 'gone') this.#index.drop(file);
    else if (facts !== undefined && (facts.size !== size || facts.lastUse > lastUse + 1))
      this.#index.put({ file, size: facts.size, narHash, lastUse: facts.lastUse });
  }

  async addPath(path: HashPart): Promise<void> {
    const narinfo = await this.#narinfos.read(this.#layout.narinfo(path));
    const facts =
      narinfo && (this.#index.nar(narinfo.file) ?? (await this.#stat(this.#layout.nar(narinfo.file))));
    // The agent itself may have put it there meanwhile, and knows better.
    if (this.#index.fileOf(path) !== undefined) return;
    if (narinfo === undefined || facts === undefined) this.unreadable += 1;
    else if (facts === 'gone') this.dangling += 1;
    else {
      const { file, narHash, relations } = narinfo;
      this.#index.put({ file, size: facts.size, narHash, lastUse: facts.lastUse }, path, relations);
    }
  }

  async addNobodys(file: NarFile): Promise<void> {
    const facts = await this.#stat(this.#layout.nar(file));
    if (facts === undefined || facts === 'gone' || this.#index.has(file)) return;
    this.#index.put({ file, size: facts.size, narHash: undefined, lastUse: facts.lastUse });
  }

  /** Undefined when the disk does not tell; what is there and not a file is gone, too. */
  async #stat(path: string): Promise<FileFacts | 'gone' | undefined> {
    try {
      const facts = await this.#files.stat(path);
      return facts.isFile ? facts : 'gone';
    } catch (error) {
      return isAbsent(error) ? 'gone' : undefined;
    }
  }
}
