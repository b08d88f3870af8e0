/** Works through a queue that may grow meanwhile, so many items at a time. */
export class Crew<T> {
  readonly #atOnce: number;
  readonly #work: (item: T) => Promise<void>;
  readonly #queue: T[] = [];
  readonly #idle: (() => void)[] = [];
  #running = 0;

  /** @param work never rejects */
  constructor(atOnce: number, work: (item: T) => Promise<void>) {
    this.#atOnce = atOnce;
    this.#work = work;
  }

  add(item: T): void {
    this.#queue.push(item);
    this.#next();
  }

  /** Resolves when there is nothing to do. */
  async idle(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #next(): void {
    while (this.#running < this.#atOnce) {
      const item = this.#queue.shift();
      if (item === undefined) break;
      this.#running += 1;
      void this.#work(item).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
