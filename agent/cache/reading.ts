import { FormatError } from '../nix/error.ts';
import { narHashOf } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { isAbsent } from './error.ts';
import type { FileFacts, Files, OpenFile } from './files.ts';
import type { Holds } from './holds.ts';
import { type Layout, type NarFile, narFileOf } from './layout.ts';
import type { StoredFile } from './nar-cache.ts';
import type { NarIndex } from './nar-index.ts';
import { describes, type NarinfoFiles, type StoredNarinfo } from './narinfo-files.ts';
import type { PinnedClosure } from './pinned-closure.ts';
import { readChunks } from './read-chunks.ts';
import { relationsOf } from './references.ts';

/** A use is written to disk when the last one there is older, in ms: exact enough for eviction, and few writes. */
const useWrittenEvery = 10 * 60_000;

export interface ReadingParts {
  readonly files: Files;
  readonly layout: Layout;
  readonly index: NarIndex;
  readonly holds: Holds;
  readonly narinfos: NarinfoFiles;
  readonly pinned: PinnedClosure;
  /** NARs that must not be served. */
  readonly wrong: ReadonlySet<NarFile>;
  /** Ms since the epoch. */
  readonly wall: () => number;
}

/** The reading side of the cache: always from the disk itself, noting in the index what was used and what is new. */
export class Reading {
  readonly #parts: ReadingParts;
  #failures = 0;

  constructor(parts: ReadingParts) {
    this.#parts = parts;
  }

  /** How many reads the disk has failed. */
  get failures(): number {
    return this.#failures;
  }

  /** See NarCache.narinfo. */
  async narinfo(path: HashPart): Promise<Narinfo | undefined> {
    const { narinfos, wrong, index } = this.#parts;
    try {
      const narinfo = await narinfos.read(path);
      const stored = narinfo && (await narinfos.nar(narinfo));
      if (stored === undefined || wrong.has(stored.file)) {
        index.dropPath(path);
        return undefined;
      }
      await this.#note(stored);
      await this.#used(stored.file, stored.facts);
      return narinfo;
    } catch (error) {
      if (!(error instanceof FormatError)) this.#failures += 1;
      return undefined;
    }
  }

  /** See NarCache.open. */
  async open(narinfo: Narinfo): Promise<StoredFile | undefined> {
    const { files, layout, holds, wrong } = this.#parts;
    const name = narFileOf(narinfo.url);
    if (name === undefined || wrong.has(name)) return undefined;
    const letGo = await holds.hold(name);
    let file: OpenFile | undefined;
    try {
      file = await files.open(layout.nar(name), 'read');
      const facts = await file.facts();
      if (describes(narinfo, facts)) {
        await this.#used(name, facts);
        return this.#storedFile(file, name, facts, letGo);
      }
    } catch (error) {
      if (!isAbsent(error)) this.#failures += 1;
    }
    await file?.close().catch(() => {});
    letGo();
    return undefined;
  }

  #storedFile(file: OpenFile, name: NarFile, { size, modified }: FileFacts, letGo: () => void): StoredFile {
    const failed = () => {
      this.#failures += 1;
    };
    return {
      size,
      modified,
      async *read(offset) {
        try {
          yield* readChunks(file, name, offset, () => size);
        } catch (error) {
          failed();
          throw error;
        }
      },
      async close() {
        letGo();
        await file.close().catch(() => {});
      },
    };
  }

  /** Other programs add to the directory, too. */
  async #note({ narinfo, file, facts }: StoredNarinfo): Promise<void> {
    const { index, pinned } = this.#parts;
    const path = narinfo.storePath.hashPart;
    if (index.fileOf(path) === file) return;
    const nar = { file, size: facts.size, narHash: narHashOf(narinfo.narHash), lastUse: facts.lastUse };
    index.put(nar, path, relationsOf(narinfo));
    await pinned.grow(narinfo);
  }

  /** A use that cannot be written down counts until the agent ends. */
  async #used(file: NarFile, { lastUse, modified }: FileFacts): Promise<void> {
    const { files, layout, index, wall } = this.#parts;
    const now = wall();
    index.touch(file, now);
    if (now - lastUse >= useWrittenEvery) await files.touch(layout.nar(file), now, modified).catch(() => {});
  }
}
