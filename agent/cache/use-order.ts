import { Column } from './column.ts';

/** Numbers from 1 on in the order of their last use: a ring, doubly linked, that 0 closes. */
export class UseOrder {
  readonly #next = new Column(Uint32Array);
  readonly #before = new Column(Uint32Array);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Puts a new number behind all others. */
  add(number: number): void {
    this.#link(this.#before.get(0), number);
    this.#link(number, 0);
    this.#size += 1;
  }

  /** Takes out a number that is in. */
  delete(number: number): void {
    this.#link(this.#before.get(number), this.#next.get(number));
    this.#size -= 1;
  }

  /** A number that is in was used: it goes behind all others. */
  used(number: number): void {
    this.delete(number);
    this.add(number);
  }

  /** All as they stand now, the least recently used first. */
  all(): Uint32Array {
    const all = new Uint32Array(this.#size);
    let number = 0;
    for (let n = 0; n < all.length; n += 1) all[n] = number = this.#next.get(number);
    return all;
  }

  /**
   * Sorts by last use, given in ms since the epoch, exact to the second; those of the same second stay as they stand. 100,000 take some
   * 10 ms, as places that are part of the numbers that are sorted; with a comparison it would be ten times that.
   */
  sort(lastUse: (number: number) => number): void {
    const all = this.all();
    const latest = Math.floor(Number.MAX_SAFE_INTEGER / (all.length + 1)) - 1;
    const keys = new Float64Array(all.length);
    all.forEach((number, place) => {
      const second = Math.min(Math.max(Math.floor(lastUse(number) / 1000), 0), latest);
      keys[place] = second * all.length + place;
    });
    let before = 0;
    for (const key of keys.sort()) {
      const number = all[key % all.length] ?? 0;
      this.#link(before, number);
      before = number;
    }
    this.#link(before, 0);
  }

  #link(before: number, next: number): void {
    this.#next.set(before, next);
    this.#before.set(next, before);
  }
}
