import { type Narinfo, referencesOf } from '../nix/narinfo.ts';
import { type HashPart, isHashPart } from '../nix/store-path.ts';
import { Column } from './column.ts';
import { ListColumn } from './list-column.ts';
import { packedHashParts } from './packings.ts';
import { TextTable } from './text-table.ts';

/** What a narinfo says of other paths. */
export interface Relations {
  readonly references: readonly HashPart[];
  /** The derivation that it names as Deriver, as `derivationKey` has it. */
  readonly derivation: number;
}

/**
 * Which stored path refers to which others: some 50 bytes of memory for each path, and 8 for each reference. A path has a number as
 * long as it is stored or referred to. Its reference to itself is none.
 */
export class References {
  readonly #paths = new TextTable(packedHashParts);
  /** Of each path: 1 when it is stored; its derivation; to which it refers; how many stored ones refer to it. */
  readonly #isStored = new Column(Uint8Array);
  readonly #derivation = new Column(Uint32Array);
  readonly #references = new ListColumn();
  readonly #referrers = new Column(Uint32Array);

  /** Notes what a stored path's narinfo says, in place of what was known. The result is the path's number. */
  set(path: HashPart, { references, derivation }: Relations): number {
    const number = this.#paths.add(path);
    const former = this.#references.get(number);
    const others = references.map((other) => this.#paths.add(other)).filter((other) => other !== number);
    this.#isStored.set(number, 1);
    this.#derivation.set(number, derivation);
    this.#references.set(number, others);
    for (const other of others) this.#referrers.set(other, this.#referrers.get(other) + 1);
    for (const other of former) this.#release(other);
    return number;
  }

  /** The path is stored no more. */
  delete(path: HashPart): void {
    const number = this.#paths.find(path);
    if (this.#isStored.get(number) === 0) return;
    const former = this.#references.get(number);
    this.#isStored.set(number, 0);
    this.#derivation.set(number, 0);
    this.#references.set(number, []);
    for (const other of former) this.#release(other);
    this.#forget(number);
  }

  /** What a stored path refers to; undefined when it is not known as stored. */
  of(path: HashPart): readonly HashPart[] | undefined {
    return this.relationsOf(path)?.references;
  }

  /** All that is noted of a stored path; undefined when it is not known as stored. */
  relationsOf(path: HashPart): Relations | undefined {
    const number = this.#paths.find(path);
    if (this.#isStored.get(number) === 0) return undefined;
    const references = this.#references.get(number).map((other) => this.path(other));
    return { references, derivation: this.#derivation.get(number) };
  }

  /** The stored paths of a derivation, and perhaps a few others. Looks at every path: less than 1 ms for 100,000. */
  outputsOf(derivation: string): HashPart[] {
    const key = derivationKey(derivation);
    return key === 0 ? [] : this.#derivation.rowsWith(key).map((number) => this.path(number));
  }

  /** How many stored paths refer to this one. */
  referrers(path: HashPart): number {
    return this.#referrers.get(this.#paths.find(path));
  }

  /** The path's number; 0 when it has none. */
  number(path: HashPart): number {
    return this.#paths.find(path);
  }

  /** The path of that number, which it must have. */
  path(number: number): HashPart {
    return this.#paths.text(number);
  }

  #release(number: number): void {
    this.#referrers.set(number, this.#referrers.get(number) - 1);
    this.#forget(number);
  }

  #forget(number: number): void {
    if (this.#isStored.get(number) === 0 && this.#referrers.get(number) === 0) this.#paths.delete(number);
  }
}

/** What a narinfo says of other paths. */
export function relationsOf(narinfo: Narinfo): Relations {
  return { references: referencesOf(narinfo), derivation: derivationKey(narinfo.deriver) };
}

/** A small number for `<hash>-<name>.drv`, which few others share; 0 for none. Names would take ten times the memory. */
export function derivationKey(base = ''): number {
  return isHashPart(base.slice(0, 32)) ? Number.parseInt(base.slice(0, 5), 36) + 1 : 0;
}
