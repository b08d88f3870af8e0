import { join } from 'node:path';
import type { Files } from './files.ts';
import type { GroupedSync } from './grouped-sync.ts';
import type { Layout } from './layout.ts';
import { readSmall, writeDurably } from './small-files.ts';

const maxBytes = 1024 * 1024;

/** A file in `state/`: some text that outlives the process. Neither of its methods rejects: what cannot be kept is lost. */
export class StateFile {
  readonly #files: Files;
  readonly #sync: GroupedSync;
  readonly #layout: Layout;
  readonly #path: string;
  readonly #whileWritable: (write: () => Promise<true>) => Promise<true | undefined>;

  /** `whileWritable` does what it is given unless the disk takes no writes. */
  constructor(
    files: Files,
    sync: GroupedSync,
    layout: Layout,
    name: string,
    whileWritable: (write: () => Promise<true>) => Promise<true | undefined>,
  ) {
    this.#files = files;
    this.#sync = sync;
    this.#layout = layout;
    this.#path = join(layout.state, name);
    this.#whileWritable = whileWritable;
  }

  /** What was saved last; undefined when there is none that can be read. */
  async load(): Promise<string | undefined> {
    const bytes = await readSmall(this.#files, this.#path, Buffer.alloc(maxBytes)).catch(() => undefined);
    return bytes?.toString();
  }

  /** Puts the text in the place of what was there, whole or not at all; whether that was possible. */
  async save(text: string): Promise<boolean> {
    const saved = await this.#whileWritable(async () => {
      await this.#files.makeDirectory(this.#layout.state);
      await writeDurably(this.#files, this.#sync, this.#path, this.#layout.temporary(), text);
      return true;
    });
    return saved === true;
  }
}
