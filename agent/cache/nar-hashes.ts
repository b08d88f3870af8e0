import type { NarHash } from '../nix/hash.ts';
import { Column } from './column.ts';
import { ListColumn } from './list-column.ts';
import { packedNarHashes } from './packings.ts';
import { TextTable } from './text-table.ts';

/** Which numbered NAR file has which NAR in it. */
export class NarHashes {
  readonly #hashes = new TextTable(packedNarHashes);
  /** Of each file; 0 when it is not known. */
  readonly #hashOf = new Column(Uint32Array);
  /** Of each hash. */
  readonly #files = new ListColumn();

  /** The NAR in a file; undefined when it is not known. */
  of(file: number): NarHash | undefined {
    const hash = this.#hashOf.get(file);
    return hash === 0 ? undefined : this.#hashes.text(hash);
  }

  /** A file with that NAR in it; of several, the one that came last; 0 when there is none. */
  file(narHash: NarHash): number {
    return this.#files.get(this.#hashes.find(narHash)).at(-1) ?? 0;
  }

  /** Notes which NAR is in a file, in place of what was known. */
  set(file: number, narHash: NarHash): void {
    const hash = this.#hashes.add(narHash);
    if (this.#hashOf.get(file) !== hash) this.delete(file);
    this.#hashOf.set(file, hash);
    this.#files.set(hash, [...this.#others(hash, file), file]);
  }

  /** The file is gone. */
  delete(file: number): void {
    const hash = this.#hashOf.get(file);
    if (hash === 0) return;
    const others = this.#others(hash, file);
    this.#hashOf.set(file, 0);
    this.#files.set(hash, others);
    if (others.length === 0) this.#hashes.delete(hash);
  }

  #others(hash: number, file: number): number[] {
    return this.#files.get(hash).filter((other) => other !== file);
  }
}
