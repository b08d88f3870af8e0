import { LRUCache } from 'lru-cache';
import type { NarHash } from '../nix/hash.ts';
import type { HashPart } from '../nix/store-path.ts';
import type { NarFile } from './layout.ts';
import { References, type Relations } from './references.ts';

/** One file in `nar/` and the paths whose narinfos name it. Never changed: a changed one is another object. */
export interface StoredNar {
  readonly file: NarFile;
  /** Bytes. */
  readonly size: number;
  /** Undefined for a file that no narinfo names. */
  readonly narHash: NarHash | undefined;
  readonly paths: readonly HashPart[];
  /** Ms since the epoch. */
  readonly lastUse: number;
}

/**
 * What is in the cache directory, in the order of last use: about 700 bytes of memory for each NAR. The unit is the NAR with all
 * narinfos that name it, for it can go only with the last of them. Nothing here does I/O or drops anything by itself.
 */
export class NarIndex {
  readonly #nars = new LRUCache<NarFile, StoredNar>({
    maxSize: Number.MAX_SAFE_INTEGER,
    sizeCalculation: spaceOf,
  });
  readonly #fileOf = new Map<HashPart, NarFile>();
  readonly #byHash = new Map<NarHash, NarFile>();
  readonly #references = new References();
  #touched: Set<NarFile> | undefined;

  /** How many narinfos there are. */
  get paths(): number {
    return this.#fileOf.size;
  }

  get nars(): number {
    return this.#nars.size;
  }

  /** Disk space of all NARs and narinfos, in bytes. */
  get bytes(): number {
    return this.#nars.calculatedSize;
  }

  nar(file: NarFile): StoredNar | undefined {
    return this.#nars.peek(file);
  }

  /** The file of a path's NAR. */
  fileOf(path: HashPart): NarFile | undefined {
    return this.#fileOf.get(path);
  }

  /** What a path refers to, apart from itself; undefined when it is not here. */
  referencesOf(path: HashPart): readonly HashPart[] | undefined {
    return this.#references.of(path);
  }

  /** All that its narinfo says of other paths; undefined when it is not here. */
  relationsOf(path: HashPart): Relations | undefined {
    return this.#references.relationsOf(path);
  }

  /** The paths whose narinfos name a derivation (`<hash>-<name>.drv`) as Deriver, and perhaps a few others. */
  outputsOf(derivation: string): readonly HashPart[] {
    return this.#references.outputsOf(derivation);
  }

  /** How many paths refer to one of the NAR's, apart from those themselves. */
  referrersOf({ paths }: StoredNar): number {
    const among = (path: HashPart) =>
      paths.filter((other) => this.#references.of(other)?.includes(path)).length;
    const inner = (path: HashPart) => (paths.length > 1 ? among(path) : 0);
    return paths.reduce((sum, path) => sum + this.#references.referrers(path) - inner(path), 0);
  }

  /** A file with that NAR in it; of several, the one that came last. */
  byNarHash(narHash: NarHash): StoredNar | undefined {
    const file = this.#byHash.get(narHash);
    return file === undefined ? undefined : this.nar(file);
  }

  /**
   * Notes a NAR, and the path whose narinfo names it now with what that says of others, as used at `lastUse`. A path has one NAR: it
   * leaves its former one. Left out, its relations are those noted before.
   */
  put(nar: Omit<StoredNar, 'paths'>, given?: HashPart, relations?: Relations): void {
    const path = given && this.#keep(given, nar.file, relations);
    const known = this.nar(nar.file);
    const paths = known?.paths ?? [];
    if (nar.narHash !== undefined && known?.narHash !== nar.narHash) this.#forgetHash(known);
    this.#set({
      ...nar,
      narHash: nar.narHash ?? known?.narHash,
      paths: path === undefined || paths.includes(path) ? paths : [...paths, path],
      lastUse: Math.max(nar.lastUse, known?.lastUse ?? 0),
    });
    if (path !== undefined) this.#fileOf.set(path, nar.file);
    if (nar.narHash !== undefined) this.#byHash.set(nar.narHash, nar.file);
  }

  /** Notes what a path's narinfo says of others, ahead of its NAR. */
  relate(path: HashPart, relations: Relations): void {
    this.#references.set(path, relations);
  }

  /** Notes a use: the NAR is now the one most recently used. */
  touch(file: NarFile, lastUse: number): void {
    const nar = this.nar(file);
    if (nar === undefined) return;
    this.#set({ ...nar, lastUse: Math.max(nar.lastUse, lastUse) });
    this.#touched?.delete(file);
    this.#touched?.add(file);
  }

  /** The path's narinfo is gone; its NAR stays, even as nobody's. */
  dropPath(path: HashPart): void {
    const file = this.#fileOf.get(path);
    const nar = file === undefined ? undefined : this.nar(file);
    this.#fileOf.delete(path);
    this.#references.delete(path);
    if (nar === undefined) return;
    this.#set({ ...nar, paths: nar.paths.filter((other) => other !== path) });
  }

  /** The NAR is gone, and all its narinfos with it. */
  drop(file: NarFile): void {
    const nar = this.nar(file);
    if (nar === undefined) return;
    for (const path of nar.paths) {
      this.#fileOf.delete(path);
      this.#references.delete(path);
    }
    this.#forgetHash(nar);
    this.#nars.delete(file);
  }

  /** The names of all NARs and all paths at this moment. */
  names(): { files: NarFile[]; paths: HashPart[] } {
    return { files: [...this.#nars.keys()], paths: [...this.#fileOf.keys()] };
  }

  /** Begins to note which NARs are touched; the result ends it and gives them, the last touched last. */
  noteTouches(): () => NarFile[] {
    const touched = new Set<NarFile>();
    this.#touched = touched;
    return () => {
      this.#touched = undefined;
      return [...touched];
    };
  }

  /** Every NAR, the least recently used first. The index must not be changed while this runs. */
  *leastRecent(): Generator<StoredNar> {
    for (const nar of this.#nars.rvalues()) if (nar !== undefined) yield nar;
  }

  /** Takes a path from its former NAR; the result is the same text, kept once for all who need it. */
  #keep(path: HashPart, file: NarFile, relations?: Relations): HashPart {
    const former = this.#fileOf.get(path);
    if (former !== undefined && former !== file) this.dropPath(path);
    const known = relations ?? this.#references.relationsOf(path);
    return this.#references.set(path, known ?? { references: [], derivation: 0 });
  }

  #forgetHash(nar: StoredNar | undefined): void {
    if (nar?.narHash !== undefined && this.#byHash.get(nar.narHash) === nar.file)
      this.#byHash.delete(nar.narHash);
  }

  #set(nar: StoredNar): void {
    this.#nars.set(nar.file, nar);
  }
}

/** Disk space of a NAR and its narinfos, in bytes. */
export function spaceOf({ size, paths }: Pick<StoredNar, 'size' | 'paths'>): number {
  return spaceOfNar(size, paths.length);
}

/** Disk space of a file of `size` bytes and so many narinfos: files take whole blocks, and a narinfo one. */
export function spaceOfNar(size: number, narinfos: number): number {
  return (Math.max(Math.ceil(size / block), 1) + narinfos) * block;
}

const block = 4096;
