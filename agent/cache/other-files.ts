import { dirname, join } from 'node:path';
import { FormatError } from '../nix/error.ts';
import { isHashPart } from '../nix/store-path.ts';
import { cacheFull } from './error.ts';
import type { Files } from './files.ts';
import type { GroupedSync } from './grouped-sync.ts';
import type { Layout } from './layout.ts';
import type { StoredFile } from './nar-cache.ts';
import { readChunks } from './read-chunks.ts';
import { listIfThere, removeIfThere, writeAll } from './small-files.ts';

/** The largest that is taken, in bytes. */
export const longestOtherFile: number = 64 * 1024 * 1024;

const pattern =
  /^(?:[0-9a-z]{32}\.ls|(?:log|debuginfo|realisations)\/[0-9a-zA-Z][\w+.?=:!-]{0,250}|build-trace-v2\/[0-9a-zA-Z][\w+.?=:!-]{0,250}\/[0-9a-zA-Z][\w+.?=:!-]{0,100})$/;

export interface OtherFilesParts {
  readonly files: Files;
  readonly layout: Layout;
  readonly sync: GroupedSync;
  /** Whether that many bytes more may be written. */
  readonly take: (bytes: number) => Promise<boolean> | true;
}

/**
 * What Nix keeps in a binary cache beside narinfos and NARs, as it came: listings (`<hash part>.ls`), `log/`, `debuginfo/`,
 * `realisations/` (Nix 2.4 to 2.34) and `build-trace-v2/` (from 2.35).
 */
export class OtherFiles {
  readonly #parts: OtherFilesParts;

  constructor(parts: OtherFilesParts) {
    this.#parts = parts;
  }

  /** Opens one by its path in the cache; undefined when there is none, or none by such a path. */
  async open(path: string): Promise<StoredFile | undefined> {
    const place = this.#placeOf(path);
    if (place === undefined) return undefined;
    const file = await this.#parts.files.open(place, 'read').catch(() => undefined);
    const facts = await file?.facts().catch(() => undefined);
    if (file === undefined || facts === undefined || !facts.isFile) {
      await file?.close();
      return undefined;
    }
    const { size, modified } = facts;
    return {
      size,
      modified,
      read: (offset) => readChunks(file, path, offset, () => size),
      close: () => file.close(),
    };
  }

  /**
   * Stores one, in place of what there is, durably. Rejects with the chunks' and the system's errors.
   * @throws CacheError `cache-full`; FormatError for a path that is none of theirs, or more than 64 MiB
   */
  async store(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const place = this.#placeOf(path);
    if (place === undefined)
      throw new FormatError('bad-path', 'That is no file of a binary cache that is known here.');
    const { files, layout, sync } = this.#parts;
    const temporary = layout.temporary();
    await files.makeDirectory(dirname(place));
    try {
      await this.#write(temporary, chunks);
      await files.rename(temporary, place);
    } catch (error) {
      await files.remove(temporary).catch(() => {});
      throw error;
    }
    await sync.directory(dirname(place));
  }

  /** Removes those of no path in particular that were not changed since `olderThan`, in ms since the epoch. */
  async tidy(olderThan: number): Promise<void> {
    const { files, layout } = this.#parts;
    for (const folder of ['log', 'debuginfo', 'realisations']) {
      const directory = join(layout.dir, folder);
      for (const name of await listIfThere(files, directory)) {
        const { isFile, modified } = await files.stat(join(directory, name));
        if (isFile && modified < olderThan) await removeIfThere(files, join(directory, name));
      }
    }
  }

  async #write(temporary: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { files, take } = this.#parts;
    const file = await files.open(temporary, 'create');
    try {
      let length = 0;
      for await (const chunk of chunks) {
        if (length + chunk.length > longestOtherFile)
          throw new FormatError('too-long', `It is longer than ${longestOtherFile} bytes.`);
        if (!(await take(chunk.length))) throw cacheFull();
        await writeAll(file, chunk, length);
        length += chunk.length;
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }

  #placeOf(path: string): string | undefined {
    if (!pattern.test(path)) return undefined;
    if (path.endsWith('.ls') && !path.includes('/') && !isHashPart(path.slice(0, 32))) return undefined;
    return join(this.#parts.layout.dir, path);
  }
}
