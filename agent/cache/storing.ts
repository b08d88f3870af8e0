import { narHashOf, sameHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { cacheFull } from './error.ts';
import type { Files } from './files.ts';
import type { GroupedSync } from './grouped-sync.ts';
import type { Holds } from './holds.ts';
import { type Layout, type NarFile, narUrl } from './layout.ts';
import type { NarFileFacts } from './nar-cache.ts';
import { type NarIndex, spaceOfNar } from './nar-index.ts';
import type { NarinfoFiles } from './narinfo-files.ts';
import type { PinnedClosure } from './pinned-closure.ts';
import { relationsOf } from './references.ts';
import type { Removal } from './removal.ts';

export interface StoringParts {
  readonly files: Files;
  readonly layout: Layout;
  readonly sync: GroupedSync;
  readonly index: NarIndex;
  readonly holds: Holds;
  readonly narinfos: NarinfoFiles;
  readonly pinned: PinnedClosure;
  readonly removal: Removal;
  /** Whether all of the directory is in the index. */
  readonly isRead: () => boolean;
  /** Whether that many bytes more may be written. */
  readonly take: (bytes: number) => Promise<boolean> | true;
  /** NARs that must not be served. */
  readonly wrong: Set<NarFile>;
  /** Ms since the epoch. */
  readonly wall: () => number;
}

/** The writing side of the cache. A NAR is durable under its name before its narinfo appears (I7). */
export class Storing {
  readonly #parts: StoringParts;

  constructor(parts: StoringParts) {
    this.#parts = parts;
  }

  /**
   * Takes a whole, verified and synced file into the cache, with its narinfo. Until that is there, the file keeps its name `from` where
   * the file system can give it two: a process that is killed in between has not lost it. Rejects with the system's errors.
   */
  async publish(narinfo: Narinfo, file: NarFileFacts, from: string): Promise<void> {
    const { files, layout, sync, index, holds, wrong, wall } = this.#parts;
    const { url, name } = narUrl(file.fileHash, file.compression);
    const letGo = await holds.hold(name, narinfo.storePath.hashPart);
    try {
      const narHash = narHashOf(narinfo.narHash);
      await files.link(from, layout.nar(name)).catch(() => files.rename(from, layout.nar(name)));
      index.put({ file: name, size: file.fileSize, narHash, lastUse: wall() });
      wrong.delete(name);
      await sync.directory(layout.nars);
      await this.#write({ ...narinfo, ...file, url }, name);
    } finally {
      letGo();
    }
  }

  /** See NarCache.adopt. Rejects with the system's errors. */
  async adopt(narinfo: Narinfo): Promise<Narinfo | undefined> {
    const { narinfos, index, holds, wrong, take } = this.#parts;
    const nar = index.byNarHash(narHashOf(narinfo.narHash));
    const [other] = nar?.paths ?? [];
    if (nar === undefined || other === undefined || wrong.has(nar.file)) return undefined;
    const letGo = await holds.hold(nar.file, narinfo.storePath.hashPart);
    try {
      const theirs = await narinfos.read(other);
      const stored = theirs && (await narinfos.nar(theirs));
      if (stored?.file !== nar.file || !isSameNar(stored.narinfo, narinfo)) return undefined;
      if (!(await take(spaceOfNar(0, 0)))) throw cacheFull();
      const { url, compression, fileHash, fileSize = stored.facts.size } = stored.narinfo;
      const { fileHash: _, ...rest } = narinfo;
      const own = { ...rest, url, compression, ...(fileHash && { fileHash }), fileSize };
      await this.#write(own, nar.file);
      return own;
    } finally {
      letGo();
    }
  }

  async #write(narinfo: Narinfo, file: NarFile): Promise<void> {
    const { narinfos, index, pinned, removal, isRead } = this.#parts;
    const path = narinfo.storePath.hashPart;
    const former = index.fileOf(path);
    await narinfos.write(narinfo);
    const nar = index.nar(file);
    if (nar !== undefined) index.put(nar, path, relationsOf(narinfo));
    await pinned.grow(narinfo);
    const left = former === undefined || !isRead() ? undefined : index.nar(former);
    if (left !== undefined && left.paths.length === 0) await removal.remove([left], () => {}).catch(() => {});
  }
}

function isSameNar(a: Narinfo, b: Narinfo): boolean {
  return sameHash(a.narHash, b.narHash) && a.narSize === b.narSize;
}
