/** Lets any number of waiters know that something moved. */
export class Notice {
  #waiting = Promise.withResolvers<void>();

  /** Resolves at the next `give`. */
  next(): Promise<void> {
    return this.#waiting.promise;
  }

  give(): void {
    const { resolve } = this.#waiting;
    this.#waiting = Promise.withResolvers();
    resolve();
  }
}
