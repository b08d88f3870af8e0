import type { Compression } from '../nix/compression.ts';
import type { Hash, NarHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { DiskState } from './disk-state.ts';
import { CacheError, cacheFull } from './error.ts';
import type { Files, OpenFile } from './files.ts';
import type { PartialFolder } from './layout.ts';
import type { NarFileFacts, PartialMeta, PartialNar } from './nar-cache.ts';
import { spaceOfNar } from './nar-index.ts';
import { newDataName, printSideFile, type SideFile, sideName } from './partial-meta.ts';
import { readChunks } from './read-chunks.ts';
import { Serial } from './serial.ts';
import { removeIfThere, writeAll, writeSmall } from './small-files.ts';

/** What a partial file needs of the cache around it. */
export interface PartialContext {
  readonly files: Files;
  readonly layout: PartialFolder;
  readonly disk: DiskState;
  /** The largest file to store, in bytes. */
  largest(): number;
  /** Whether that many bytes more may be written. */
  take(bytes: number): Promise<boolean> | true;
  /** The partial takes that much disk space now, in bytes. */
  takes(space: number): void;
  /** Moves a whole and synced file into the cache. */
  publish(narinfo: Narinfo, file: NarFileFacts, from: string): Promise<void>;
  /** The owner gave the partial up. */
  ended(): void;
}

/** The bytes of one source's file, and where they are. */
interface Data {
  readonly meta: PartialMeta;
  readonly name: string;
  readonly file: OpenFile;
  /** An earlier process was killed while it took these bytes, which were whole, into the cache: they must not change. */
  readonly whole: boolean;
  length: number;
}

/**
 * A partial file: `<NarHash>.json` says what it is, and names the file with the bytes. Each `begin` takes a new name for the bytes, so
 * that after a power loss the one never speaks of the other's predecessor, without a sync for either.
 */
export class PartialFile implements PartialNar {
  readonly #narHash: NarHash;
  readonly #context: PartialContext;
  readonly #steps = new Serial();
  #data: Data | undefined;
  /** Bytes can be added; not so after a refused write. */
  #open = false;
  /** `spent`: still the owner's to read, but nothing will come of it. */
  #stage: 'owned' | 'spent' | 'committed' | 'ended' = 'owned';

  constructor(narHash: NarHash, context: PartialContext) {
    this.#narHash = narHash;
    this.#context = context;
  }

  /** Takes up what is there. Rejects with the system's errors. */
  async resume({ meta, data: name }: SideFile): Promise<void> {
    const { files, layout } = this.#context;
    const file = await files.open(layout.partial(name), 'continue');
    const { size, names } = await file.facts();
    this.#data = { meta, name, file, length: size, whole: names > 1 };
    this.#open = true;
  }

  get meta(): PartialMeta | undefined {
    return this.length > 0 ? this.#data?.meta : undefined;
  }

  get length(): number {
    return this.#data?.length ?? 0;
  }

  begin(meta: PartialMeta): Promise<boolean> {
    return this.#steps.run(async () => {
      if (this.#stage !== 'owned' || !this.#context.disk.writable) return false;
      if (this.#isTooLarge(meta.fileSize)) return false;
      return this.#attempt(async () => {
        await this.#take(spaceOfPartial(0));
        const former = this.#data;
        this.#data = await this.#create(meta);
        this.#open = true;
        if (former !== undefined) await this.#remove(former);
        this.#context.takes(spaceOfPartial(0));
      });
    });
  }

  append(chunk: Uint8Array): Promise<boolean> {
    return this.#steps.run(async () => {
      const data = this.#data;
      if (data === undefined || !this.#open) return false;
      if (data.whole || this.#isTooLarge(data.length + chunk.length)) {
        this.#open = false;
        this.#stage = 'spent';
        return false;
      }
      return this.#attempt(async () => {
        await this.#take(spaceOfPartial(data.length + chunk.length) - spaceOfPartial(data.length));
        await writeAll(data.file, chunk, data.length, (count) => {
          data.length += count;
          this.#context.takes(spaceOfPartial(data.length));
        });
      });
    });
  }

  async *read(offset: number): AsyncGenerator<Buffer> {
    const data = this.#data;
    if (this.#stage === 'ended')
      throw new CacheError('cache-read', `The partial file of ${this.#narHash} has been given up.`);
    if (data !== undefined) yield* readChunks(data.file, data.name, offset, () => data.length);
  }

  commit(
    narinfo: Narinfo,
    { hash, size, compression }: { hash: Hash; size: number; compression?: Compression },
  ): Promise<boolean> {
    return this.#steps.run(async () => {
      const data = this.#data;
      if (data === undefined || !this.#open || this.#stage !== 'owned' || data.length !== size) return false;
      const { layout, publish } = this.#context;
      const file = { compression: compression ?? data.meta.compression, fileHash: hash, fileSize: size };
      const committed = await this.#attempt(async () => {
        await data.file.sync();
        await publish(narinfo, file, layout.partial(data.name));
      });
      this.#open = false;
      this.#stage = committed ? 'committed' : 'spent';
      if (committed) await this.#forget(data.name);
      return committed;
    });
  }

  release(): Promise<void> {
    return this.#steps.run(async () => {
      if (this.#stage === 'spent' || this.length === 0) await this.#clear();
      await this.#end();
    });
  }

  discard(): Promise<void> {
    return this.#steps.run(async () => {
      await this.#clear();
      await this.#end();
    });
  }

  #isTooLarge(size = 0): boolean {
    return size > this.#context.largest();
  }

  async #take(bytes: number): Promise<void> {
    if (!(await this.#context.take(bytes))) throw cacheFull();
  }

  async #create(meta: PartialMeta): Promise<Data> {
    const { files, layout } = this.#context;
    const name = newDataName(this.#narHash);
    const file = await files.open(layout.partial(name), 'create');
    const data = { meta, name, file, length: 0, whole: false };
    try {
      await writeSmall(files, this.#sideFile, printSideFile({ meta, data: name }));
    } catch (error) {
      await this.#remove(data);
      throw error;
    }
    return data;
  }

  /** Removes what is on disk, as far as the disk lets us: the next start removes what is left. */
  async #clear(): Promise<void> {
    if (this.#stage === 'committed' || this.#stage === 'ended') return;
    await removeIfThere(this.#context.files, this.#sideFile).catch(() => {});
    if (this.#data !== undefined) await this.#remove(this.#data);
    this.#context.takes(0);
  }

  async #remove({ file, name }: Data): Promise<void> {
    const { files, layout } = this.#context;
    await file.close().catch(() => {});
    await removeIfThere(files, layout.partial(name)).catch(() => {});
  }

  /** The bytes are the cache's now, and the next owner may come. */
  async #forget(name: string): Promise<void> {
    const { files, layout } = this.#context;
    await removeIfThere(files, this.#sideFile).catch(() => {});
    await removeIfThere(files, layout.partial(name)).catch(() => {});
    this.#context.takes(0);
    this.#context.ended();
  }

  async #end(): Promise<void> {
    if (this.#stage === 'ended') return;
    const { file } = this.#data ?? {};
    this.#open = false;
    this.#data = undefined;
    await file?.close().catch(() => {});
    if (this.#stage !== 'committed') this.#context.ended();
    this.#stage = 'ended';
  }

  get #sideFile(): string {
    return this.#context.layout.partial(sideName(this.#narHash));
  }

  /** Whether the disk took what `write` did; if not, nothing more is added. */
  async #attempt(write: () => Promise<void>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      this.#open = false;
      this.#context.disk.refused(error);
      return false;
    }
  }
}

/** Disk space of a partial file with so many bytes: the side file takes a block, as the narinfo will. */
export function spaceOfPartial(length: number): number {
  return spaceOfNar(length, 1);
}
