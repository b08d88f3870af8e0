import type { Files } from './files.ts';

/**
 * Syncs directories, once for all who ask while a sync of the same directory is under way: sixteen transfers that end together
 * wait for two syncs instead of sixteen.
 */
export class GroupedSync {
  readonly #files: Files;
  readonly #running = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, Promise<void>>();

  constructor(files: Files) {
    this.#files = files;
  }

  /** Resolves when everything done in the directory before this call is durable. */
  directory(path: string): Promise<void> {
    const running = this.#running.get(path);
    if (running === undefined) return this.#run(path);
    const waiting = this.#waiting.get(path) ?? running.catch(() => {}).then(() => this.#run(path));
    this.#waiting.set(path, waiting);
    return waiting;
  }

  #run(path: string): Promise<void> {
    this.#waiting.delete(path);
    const run = this.#files.syncDirectory(path).finally(() => {
      if (this.#running.get(path) === run) this.#running.delete(path);
    });
    this.#running.set(path, run);
    return run;
  }
}
