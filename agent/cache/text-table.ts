import { KeyTable } from './key-table.ts';

/** How texts of one kind are written as keys of one length. */
export interface Packing<T extends string> {
  /** Bytes of a key. */
  readonly width: number;
  /** Two texts never have the same key. */
  readonly pack: (text: T) => Uint8Array;
  /** The text; undefined when the key does not hold all of it. */
  readonly unpack: (key: Uint8Array) => T | undefined;
}

/** Texts, packed, and a number for each, from 1 on. The number of one that was deleted is given to another. */
export class TextTable<T extends string> {
  readonly #packing: Packing<T>;
  readonly #keys: KeyTable;
  /** Those that cannot be packed. */
  readonly #whole = new Map<number, T>();

  constructor(packing: Packing<T>) {
    this.#packing = packing;
    this.#keys = new KeyTable(packing.width);
  }

  /** The text's number; 0 when it is not there. */
  find(text: T): number {
    return this.#keys.find(this.#packing.pack(text));
  }

  /** The text's number, new or as it was. */
  add(text: T): number {
    const key = this.#packing.pack(text);
    const number = this.#keys.add(key);
    if (this.#packing.unpack(key) === undefined) this.#whole.set(number, text);
    return number;
  }

  /** @throws TypeError when there is none of that number */
  text(number: number): T {
    const text = this.#packing.unpack(this.#keys.key(number)) ?? this.#whole.get(number);
    if (text === undefined) throw new TypeError(`There is no text number ${number}`);
    return text;
  }

  /** Deletes a text that is there. */
  delete(number: number): void {
    this.#keys.delete(number);
    this.#whole.delete(number);
  }
}
