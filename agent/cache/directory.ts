import { type CacheInfo, parseCacheInfo, printCacheInfo } from '../nix/cache-info.ts';
import { FormatError } from '../nix/error.ts';
import { CacheError, systemCode } from './error.ts';
import type { Files } from './files.ts';
import type { GroupedSync } from './grouped-sync.ts';
import type { Layout } from './layout.ts';
import { takeLock } from './lock.ts';
import { readSmall, writeDurably, writeSmall } from './small-files.ts';

/** What LAN caches say of themselves (cache.nixos.org: 40): they are asked before those on the internet. */
const priority = 30;
const longestCacheInfo = 65_536;
const block = Buffer.alloc(4096).toString();

/** The cache directory itself: made, locked, and known to take writes. */
export class CacheDirectory {
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #sync: GroupedSync;
  readonly #storeDir: string;
  #unlock: (() => void) | undefined;

  constructor(files: Files, layout: Layout, sync: GroupedSync, storeDir: string) {
    this.#files = files;
    this.#layout = layout;
    this.#sync = sync;
    this.#storeDir = storeDir;
  }

  /** Whether this process may change what is in the directory. */
  get locked(): boolean {
    return this.#unlock !== undefined;
  }

  /**
   * Makes what is missing and tries a write; may be called again. Rejects with what the disk says.
   * @throws CacheError `cache-wrong-store` or `cache-locked`
   */
  async prepare(): Promise<void> {
    const info = await this.#readInfo();
    if (info?.storeDir !== undefined && info.storeDir !== this.#storeDir)
      throw this.#wrongStore(info.storeDir);
    const refusal = await this.#tryWriting();
    // A lock on a file system that cannot be written to would be shared, and stay so when it can.
    if (!isReadOnly(refusal)) this.#unlock ??= takeLock(this.#layout.lock, this.#layout.dir);
    if (refusal !== undefined) throw refusal;
    if (info === undefined) await this.#writeInfo();
  }

  /** Lets other processes use the directory. */
  close(): void {
    this.#unlock?.();
    this.#unlock = undefined;
  }

  /** Undefined when there is none, or something else in its place. */
  async #readInfo(): Promise<CacheInfo | undefined> {
    const bytes = await readSmall(this.#files, this.#layout.cacheInfo, Buffer.alloc(longestCacheInfo));
    try {
      return bytes && parseCacheInfo(bytes.toString());
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }

  #writeInfo(): Promise<void> {
    const text = printCacheInfo({ storeDir: this.#storeDir, wantMassQuery: true, priority });
    return writeDurably(this.#files, this.#sync, this.#layout.cacheInfo, this.#layout.temporary(), text);
  }

  /** What the disk says against it. */
  async #tryWriting(): Promise<unknown> {
    const { dir, nars, partials, uploads, quarantine } = this.#layout;
    const trial = this.#layout.temporary();
    try {
      for (const directory of [nars, partials, uploads.partials, quarantine])
        await this.#files.makeDirectory(directory);
      await writeSmall(this.#files, trial, block, (file) => file.sync());
      await this.#files.remove(trial);
      await this.#sync.directory(dir);
      return undefined;
    } catch (error) {
      await this.#files.remove(trial).catch(() => {});
      return error;
    }
  }

  #wrongStore(storeDir: string): CacheError {
    return new CacheError(
      'cache-wrong-store',
      `The cache directory ${this.#layout.dir} is for the store ${storeDir}, not for ${this.#storeDir}: set cache.dir to another directory.`,
    );
  }
}

function isReadOnly(error: unknown): boolean {
  return ['EROFS', 'EACCES', 'EPERM'].includes(systemCode(error) ?? '');
}
