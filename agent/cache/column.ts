type Cells = Uint8Array | Uint32Array | Float64Array;

/** Numbers in rows, 0 where none was set: 1, 4 or 8 bytes each, where an object's field takes 8 to 24. It grows as needed. */
export class Column {
  readonly #make: new (
    length: number,
  ) => Cells;
  #cells: Cells;

  /** @param make what the numbers are kept in */
  constructor(make: new (length: number) => Cells) {
    this.#make = make;
    this.#cells = new make(0);
  }

  get(row: number): number {
    return this.#cells[row] ?? 0;
  }

  /** The rows with that number in them, which is not 0. */
  rowsWith(value: number): number[] {
    const rows: number[] = [];
    for (let row = this.#cells.indexOf(value); row >= 0; row = this.#cells.indexOf(value, row + 1))
      rows.push(row);
    return rows;
  }

  set(row: number, value: number): void {
    if (row >= this.#cells.length) {
      const former = this.#cells;
      this.#cells = new this.#make(roomFor(row + 1));
      this.#cells.set(former);
    }
    this.#cells[row] = value;
  }
}

/** For how many there is to be room when one more than there was room for is needed: a quarter more, so that little is empty. */
export function roomFor(count: number): number {
  return Math.ceil(count * 1.25) + 64;
}
