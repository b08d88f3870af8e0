/**
 * Who uses which NAR file or path now (by name), so that nothing in use is removed, and nothing under removal is taken into use.
 */
export class Holds {
  readonly #held = new Map<string, number>();
  readonly #leaving = new Map<string, Promise<void>>();

  /** Waits until none of the names is being removed, then holds them all; the result lets go of them, once. */
  async hold(...names: string[]): Promise<() => void> {
    for (let busy = this.#busy(names); busy !== undefined; busy = this.#busy(names)) await busy;
    for (const name of names) this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
    let holding = true;
    return () => {
      if (holding) for (const name of names) this.#letGo(name);
      holding = false;
    };
  }

  isHeld(name: string): boolean {
    return this.#held.has(name);
  }

  /** Marks the names, which nobody holds, as being removed until `removal` has settled. */
  leave(names: readonly string[], removal: Promise<unknown>): void {
    const done = removal.then(
      () => {},
      () => {},
    );
    for (const name of names) this.#leaving.set(name, done);
    void done.then(() => {
      for (const name of names) if (this.#leaving.get(name) === done) this.#leaving.delete(name);
    });
  }

  #busy(names: readonly string[]): Promise<void> | undefined {
    for (const name of names) {
      const leaving = this.#leaving.get(name);
      if (leaving !== undefined) return leaving;
    }
    return undefined;
  }

  #letGo(name: string): void {
    const count = this.#held.get(name) ?? 0;
    if (count > 1) this.#held.set(name, count - 1);
    else this.#held.delete(name);
  }
}
