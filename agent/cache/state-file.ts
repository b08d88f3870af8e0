import { join } from 'node:path';
import type { Files } from './files.ts';
import type { GroupedSync } from './grouped-sync.ts';
import type { Layout } from './layout.ts';
import { readSmall, writeDurably } from './small-files.ts';

const maxBytes = 1024 * 1024;
/** A web server may show the cache directory to everybody. */
const forUsAlone = 0o700;

/** A file in `state/`: some text that outlives the process. Neither of its methods rejects: what cannot be kept is lost. */
export class StateFile {
  readonly #files: Files;
  readonly #sync: GroupedSync;
  readonly #layout: Layout;
  readonly #path: string;
  readonly #isWritable: () => boolean;

  constructor(files: Files, sync: GroupedSync, layout: Layout, name: string, isWritable: () => boolean) {
    this.#files = files;
    this.#sync = sync;
    this.#layout = layout;
    this.#path = join(layout.state, name);
    this.#isWritable = isWritable;
  }

  /** What was saved last; undefined when there is none that can be read. */
  async load(): Promise<string | undefined> {
    const bytes = await readSmall(this.#files, this.#path, Buffer.alloc(maxBytes)).catch(() => undefined);
    return bytes?.toString();
  }

  /** Puts the text in the place of what was there, whole or not at all; whether that was possible. */
  async save(text: string): Promise<boolean> {
    if (!this.#isWritable()) return false;
    try {
      await this.#files.makeDirectory(this.#layout.state, forUsAlone);
      await writeDurably(this.#files, this.#sync, this.#path, this.#layout.temporary(), text);
      return true;
    } catch {
      return false;
    }
  }
}
