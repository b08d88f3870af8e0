import { Column } from './column.ts';

/** A short list of numbers in each row, empty where none was set: 4 bytes for the row and 8 for each number. */
export class ListColumn {
  /** The row's first cell; 0 is none. */
  readonly #first = new Column(Uint32Array);
  readonly #value = new Column(Uint32Array);
  /** The next cell of the same list, or the next one that is free. */
  readonly #next = new Column(Uint32Array);
  #free = 0;
  #cells = 0;

  get(row: number): number[] {
    const values: number[] = [];
    for (let cell = this.#first.get(row); cell !== 0; cell = this.#next.get(cell))
      values.push(this.#value.get(cell));
    return values;
  }

  set(row: number, values: readonly number[]): void {
    this.#release(row);
    let next = 0;
    for (let n = values.length - 1; n >= 0; n -= 1) {
      const cell = this.#take();
      this.#value.set(cell, values[n] ?? 0);
      this.#next.set(cell, next);
      next = cell;
    }
    this.#first.set(row, next);
  }

  #take(): number {
    if (this.#free === 0) return ++this.#cells;
    const cell = this.#free;
    this.#free = this.#next.get(cell);
    return cell;
  }

  #release(row: number): void {
    for (let cell = this.#first.get(row); cell !== 0; ) {
      const next = this.#next.get(cell);
      this.#next.set(cell, this.#free);
      this.#free = cell;
      cell = next;
    }
  }
}
