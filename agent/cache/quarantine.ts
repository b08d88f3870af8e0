import type { FileFacts, Files } from './files.ts';
import type { Layout } from './layout.ts';
import { listIfThere, removeIfThere } from './small-files.ts';

/** What was set aside is kept for people to look at, not for ever. */
const maxAge = 30 * 86_400_000;
const maxBytes = 1024 ** 3;

/** The wrong files in `quarantine/`. */
export class Quarantine {
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #wall: () => number;
  #bytes = 0;

  /** @param wall ms since the epoch */
  constructor(files: Files, layout: Layout, wall: () => number) {
    this.#files = files;
    this.#layout = layout;
    this.#wall = wall;
  }

  /** Bytes of all files, as of the last `tidy`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Removes what is older than 30 days, and the oldest of what is more than 1 GiB. Rejects with the system's errors. */
  async tidy(): Promise<void> {
    const files = await this.#list();
    let bytes = 0;
    for (const [name, { size, changed }] of files.sort(([, a], [, b]) => b.changed - a.changed)) {
      if (bytes + size > maxBytes || changed < this.#wall() - maxAge)
        await removeIfThere(this.#files, this.#layout.setAside(name));
      else bytes += size;
    }
    this.#bytes = bytes;
  }

  async #list(): Promise<[name: string, facts: FileFacts][]> {
    const names = await listIfThere(this.#files, this.#layout.quarantine);
    const files: [string, FileFacts][] = [];
    for (const name of names) files.push([name, await this.#files.stat(this.#layout.setAside(name))]);
    return files;
  }
}
