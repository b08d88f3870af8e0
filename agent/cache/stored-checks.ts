import { LRUCache } from 'lru-cache';
import type { Narinfo } from '../nix/narinfo.ts';
import type { StoredFile } from './nar-cache.ts';
import { isRightFile } from './nar-check.ts';

/** Some 200 bytes each. */
const maxRemembered = 16_384;

/**
 * Whether stored files are what their narinfos say, found out before anybody is given a byte of them: once for each file, as long as
 * its size and its time do not change.
 */
export class StoredChecks {
  readonly #right = new LRUCache<string, string>({ max: maxRemembered });
  readonly #running = new Map<string, Promise<boolean>>();

  /**
   * Reads the file to its end, if that was not done before.
   * @throws CacheError `cache-read` when the disk fails
   */
  async isRight(narinfo: Narinfo, file: StoredFile): Promise<boolean> {
    // Noting a use writes the time anew, with fewer digits.
    const version = `${file.size} ${Math.round(file.modified)}`;
    if (this.#right.get(narinfo.url) === version) return true;
    const key = `${narinfo.url} ${version}`;
    const running = this.#running.get(key);
    if (running !== undefined) return await running;
    const check = isRightFile(narinfo, file.read(0)).finally(() => this.#running.delete(key));
    this.#running.set(key, check);
    const right = await check;
    if (right) this.#right.set(narinfo.url, version);
    return right;
  }
}
