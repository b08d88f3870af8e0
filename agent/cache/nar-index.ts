import type { NarHash } from '../nix/hash.ts';
import type { HashPart } from '../nix/store-path.ts';
import { Column } from './column.ts';
import type { NarFile } from './layout.ts';
import { ListColumn } from './list-column.ts';
import { NarHashes } from './nar-hashes.ts';
import { packedNarFiles } from './packings.ts';
import { References, type Relations } from './references.ts';
import { TextTable } from './text-table.ts';
import { UseOrder } from './use-order.ts';

/** One file in `nar/` and the paths whose narinfos name it, as it was when it was asked for. */
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
 * What is in the cache directory, in the order of last use. The unit is the NAR with all narinfos that name it, for it can go only
 * with the last of them. Nothing here does I/O or drops anything by itself.
 *
 * There may be 100,000 of them in a machine of 1 GB. So each NAR, path and hash has a number, and all that is known of it stands in
 * that row of some columns: about 200 bytes of memory for each NAR with its path. Objects and texts are made when they are asked for.
 */
export class NarIndex {
  readonly #files = new TextTable(packedNarFiles);
  readonly #order = new UseOrder();
  readonly #hashes = new NarHashes();
  readonly #references = new References();
  /** Of each NAR. */
  readonly #size = new Column(Float64Array);
  readonly #lastUse = new Column(Float64Array);
  readonly #pathsOf = new ListColumn();
  /** Of each path. */
  readonly #narOf = new Column(Uint32Array);
  #paths = 0;
  #bytes = 0;

  /** How many narinfos there are. */
  get paths(): number {
    return this.#paths;
  }

  get nars(): number {
    return this.#order.size;
  }

  /** Disk space of all NARs and narinfos, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  has(file: NarFile): boolean {
    return this.#files.find(file) !== 0;
  }

  nar(file: NarFile): StoredNar | undefined {
    return this.#nar(this.#files.find(file));
  }

  /** The file of a path's NAR. */
  fileOf(path: HashPart): NarFile | undefined {
    const nar = this.#narOf.get(this.#references.number(path));
    return nar === 0 ? undefined : this.#files.text(nar);
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
    return this.#nar(this.#hashes.file(narHash));
  }

  /**
   * Notes a NAR, and the path whose narinfo names it now with what that says of others, as used at `lastUse`. A path has one NAR: it
   * leaves its former one. Left out, its relations are those noted before.
   */
  put(nar: Omit<StoredNar, 'paths'>, path?: HashPart, relations?: Relations): void {
    const known = this.#files.find(nar.file);
    const number = known === 0 ? this.#files.add(nar.file) : known;
    const lastUse = Math.max(nar.lastUse, known === 0 ? 0 : this.#lastUse.get(number));
    if (known === 0) this.#order.add(number);
    else this.#bytes -= this.#space(number);
    this.#size.set(number, nar.size);
    this.#bytes += this.#space(number);
    this.#lastUse.set(number, lastUse);
    if (nar.narHash !== undefined) this.#hashes.set(number, nar.narHash);
    if (path !== undefined) this.#putPath(number, path, relations);
    this.#order.used(number);
  }

  /** Notes a use: the NAR is now the one most recently used. */
  touch(file: NarFile, lastUse: number): void {
    const nar = this.#files.find(file);
    if (nar === 0) return;
    this.#lastUse.set(nar, Math.max(lastUse, this.#lastUse.get(nar)));
    this.#order.used(nar);
  }

  /** The path's narinfo is gone; its NAR stays, even as nobody's. */
  dropPath(path: HashPart): void {
    const number = this.#references.number(path);
    const nar = this.#narOf.get(number);
    if (nar === 0) return;
    this.#setPaths(
      nar,
      this.#pathsOf.get(nar).filter((other) => other !== number),
    );
    this.#order.used(nar);
    this.#narOf.set(number, 0);
    this.#references.delete(path);
  }

  /** The NAR is gone, and all its narinfos with it. */
  drop(file: NarFile): void {
    const nar = this.#files.find(file);
    if (nar === 0) return;
    for (const path of this.#pathsOf.get(nar)) {
      this.#narOf.set(path, 0);
      this.#references.delete(this.#references.path(path));
    }
    this.#setPaths(nar, []);
    this.#bytes -= this.#space(nar);
    this.#lastUse.set(nar, Number.NaN);
    this.#hashes.delete(nar);
    this.#order.delete(nar);
    this.#files.delete(nar);
  }

  /** Every path that is here now and still is when its turn comes, in no order. */
  *everyPath(): Generator<HashPart> {
    for (const nar of this.#order.all())
      for (const path of this.#pathsOf.get(nar))
        if (this.#narOf.get(path) === nar) yield this.#references.path(path);
  }

  /** Every NAR, the least recently used first. One that is used or dropped before its turn is left out. */
  *leastRecent(): Generator<StoredNar> {
    const nars = this.#order.all();
    const lastUses = new Float64Array(nars.length);
    nars.forEach((nar, n) => {
      lastUses[n] = this.#lastUse.get(nar);
    });
    for (const [n, number] of nars.entries()) {
      const nar = this.#lastUse.get(number) === lastUses[n] ? this.#nar(number) : undefined;
      if (nar !== undefined) yield nar;
    }
  }

  /** Puts the NARs in the order of when they were last used, exact to the second. */
  sort(): void {
    this.#order.sort((nar) => this.#lastUse.get(nar));
  }

  #nar(number: number): StoredNar | undefined {
    if (number === 0) return undefined;
    return {
      file: this.#files.text(number),
      size: this.#size.get(number),
      narHash: this.#hashes.of(number),
      paths: this.#pathsOf.get(number).map((path) => this.#references.path(path)),
      lastUse: this.#lastUse.get(number),
    };
  }

  #putPath(nar: number, path: HashPart, given?: Relations): void {
    const relations = given ?? this.#references.relationsOf(path) ?? { references: [], derivation: 0 };
    if (this.#narOf.get(this.#references.number(path)) !== nar) this.dropPath(path);
    const number = this.#references.set(path, relations);
    if (this.#narOf.get(number) === nar) return;
    this.#narOf.set(number, nar);
    this.#setPaths(nar, [...this.#pathsOf.get(nar), number]);
  }

  #setPaths(nar: number, paths: readonly number[]): void {
    const more = paths.length - this.#pathsOf.get(nar).length;
    this.#pathsOf.set(nar, paths);
    this.#paths += more;
    this.#bytes += more * block;
  }

  #space(nar: number): number {
    return spaceOfNar(this.#size.get(nar), this.#pathsOf.get(nar).length);
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
