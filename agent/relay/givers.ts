import { type Counters, disk, type Giver } from '../telemetry/counters.ts';
import type { Supply } from './supply.ts';

/** Counts where the bytes of one transfer came from. */
export class Givers {
  readonly #counters: Counters;
  readonly #bytes = new Map<string, { readonly giver: Giver; bytes: number }>();
  #last: string | undefined;
  /** Bytes of the present file that came from disk or LAN. */
  #near = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** Who gave, and who gave most if no upstream had a part; the disk where all was there already. */
  get main(): Giver {
    const all = [...this.#bytes.values()].sort((a, b) => b.bytes - a.bytes);
    const far = all.find(({ giver }) => giver.origin === 'upstream');
    return (far ?? all[0])?.giver ?? disk;
  }

  /** A supply begins to give, from that byte of its file on. */
  begins(supply: Supply, from: number): void {
    const { nar } = this.#counters.counts;
    if (this.#last !== undefined && this.#last !== supply.id) nar.switched += 1;
    else if (from > 0) nar.resumed += 1;
    this.#last = supply.id;
    if (this.#bytes.has(supply.id)) return;
    const giver = giverOf(supply);
    this.#bytes.set(supply.id, { giver, bytes: 0 });
    this.#counters.narsOf(giver).transfers += 1;
  }

  /** Bytes of a file, of which the first `known` were there already. */
  gives(supply: Supply, size: number, known: number): void {
    const giver = this.#bytes.get(supply.id);
    if (giver !== undefined) giver.bytes += size;
    if (supply.stored) this.#counters.received(disk, 'nar', size);
    else if (known > 0) this.#counters.wasted(known);
    if (supply.reach !== 'upstream') this.#near += size - known;
  }

  /** A body broke off, or did not come. */
  failed(supply: Supply): void {
    this.#counters.narsOf(giverOf(supply)).failed += 1;
  }

  /** Bytes of a file that were fetched are given up. */
  lost(bytes: number): void {
    this.#counters.wasted(bytes);
    this.#near = 0;
  }

  /** The transfer is over. */
  end(): void {
    this.#counters.saved(this.#near);
    this.#near = 0;
  }

  /** The NAR that came from a supply does not hold. */
  lied(supply: Supply, path: string, reason: string): void {
    this.#counters.rejected({ kind: 'nar', path, giver: giverOf(supply), reason });
  }
}

function giverOf({ id, reach }: Supply): Giver {
  return { id, origin: reach };
}
