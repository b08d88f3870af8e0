const weight = 0.25;

/** A moving average in which the newest value counts a quarter. */
export class MovingAverage {
  #value: number | undefined;

  /** Undefined before the first value. */
  get value(): number | undefined {
    return this.#value;
  }

  add(value: number): void {
    this.#value = this.#value === undefined ? value : this.#value + weight * (value - this.#value);
  }
}
