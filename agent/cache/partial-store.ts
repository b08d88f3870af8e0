import type { NarHash } from '../nix/hash.ts';
import { isAbsent } from './error.ts';
import type { PartialMeta } from './nar-cache.ts';
import { type PartialContext, PartialFile, spaceOfPartial } from './partial-file.ts';
import { maxSideFile, narHashOfSideName, parseSideFile, type SideFile, sideName } from './partial-meta.ts';
import { listIfThere, readSmall, removeIfThere } from './small-files.ts';

/** What files without an owner may be. */
export interface IdleLimits {
  /** Disk space of all together, in bytes. */
  readonly bytes: number;
  /** Ms since the last use. */
  readonly age: number;
  /** A process that was killed may have left the file of a NAR that it had stored: that is of no use. */
  readonly isStored?: (narHash: NarHash) => boolean;
}

interface Entry {
  /** Disk space, in bytes. */
  space: number;
  /** When it was last used, in ms since the epoch. */
  readonly modified: number;
  readonly owned: boolean;
}

/**
 * The files in a folder such as `partial/`: who owns them, how much they take, and how long they may stay. Every method rejects with the system's
 * errors.
 */
export class PartialStore {
  readonly #context: Omit<PartialContext, 'takes' | 'ended'>;
  readonly #limits: IdleLimits;
  readonly #wall: () => number;
  readonly #entries = new Map<NarHash, Entry>();
  #loaded: Promise<void> | undefined;

  /** @param wall ms since the epoch */
  constructor(context: Omit<PartialContext, 'takes' | 'ended'>, limits: IdleLimits, wall: () => number) {
    this.#context = context;
    this.#limits = limits;
    this.#wall = wall;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Disk space of all, in bytes. */
  get bytes(): number {
    return sum(this.#entries.values());
  }

  /** Gives the partial file of that NAR an owner; undefined when it has one already. */
  async open(narHash: NarHash): Promise<PartialFile | undefined> {
    await this.#ready();
    const entry = this.#entries.get(narHash);
    if (entry?.owned) return undefined;
    const owned = { space: entry?.space ?? 0, modified: this.#wall(), owned: true };
    this.#entries.set(narHash, owned);
    const partial = new PartialFile(narHash, {
      ...this.#context,
      takes: (space) => {
        owned.space = space;
      },
      ended: () => this.#ended(narHash, owned.space),
    });
    if (entry !== undefined) await this.#resume(narHash, partial);
    return partial;
  }

  /** What is there of that NAR, whoever owns it; undefined when nothing is. */
  async look(narHash: NarHash): Promise<{ meta: PartialMeta; length: number } | undefined> {
    await this.#ready();
    if (!this.#entries.has(narHash)) return undefined;
    const { files, layout } = this.#context;
    const side = await this.#sideFile(narHash);
    if (side === undefined) return undefined;
    try {
      return { meta: side.meta, length: (await files.stat(layout.partial(side.data))).size };
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** Removes idle files that are too old or of no use, and the oldest of those that take too much. */
  async tidy(): Promise<void> {
    await this.#ready();
    const { age, bytes, isStored = () => false } = this.#limits;
    const oldest = this.#wall() - age;
    for (const [narHash, { modified }] of this.#idle())
      if (modified < oldest || isStored(narHash)) await this.#remove(narHash);
    await this.makeRoom(sum(this.#idle().map(([, entry]) => entry)) - bytes);
  }

  /** Removes idle files, the oldest first, until they have freed that many bytes; resolves to how many they have. */
  async makeRoom(bytes: number): Promise<number> {
    await this.#ready();
    let freed = 0;
    for (const [narHash, entry] of this.#idle()) {
      if (freed >= bytes) break;
      freed += entry.space;
      await this.#remove(narHash);
    }
    return freed;
  }

  /** Before anything else is done, what the last process left is noted, and what is of no use removed. */
  #ready(): Promise<void> {
    this.#loaded ??= this.#load().catch((error: unknown) => {
      this.#loaded = undefined;
      throw error;
    });
    return this.#loaded;
  }

  async #load(): Promise<void> {
    const { files, layout } = this.#context;
    const names = new Set(await listIfThere(files, layout.partials));
    const useful = new Set<string>();
    for (const name of names) {
      const narHash = narHashOfSideName(name);
      const side = narHash && (await this.#sideFile(narHash));
      if (!narHash || !side || !names.has(side.data)) continue;
      const { size, modified } = await files.stat(layout.partial(side.data));
      this.#entries.set(narHash, { space: spaceOfPartial(size), modified, owned: false });
      useful.add(name).add(side.data);
    }
    for (const name of names) {
      if (useful.has(name) || layout.isTemporary(name)) continue;
      // One that cannot be removed does no harm.
      await files.remove(layout.partial(name)).catch(() => {});
    }
  }

  async #resume(narHash: NarHash, partial: PartialFile): Promise<void> {
    try {
      const side = await this.#sideFile(narHash);
      if (side !== undefined) await partial.resume(side);
    } catch {
      // What cannot be read is fetched anew.
    }
  }

  #ended(narHash: NarHash, space: number): void {
    if (space === 0) this.#entries.delete(narHash);
    else this.#entries.set(narHash, { space, modified: this.#wall(), owned: false });
  }

  async #remove(narHash: NarHash): Promise<void> {
    const { files, layout } = this.#context;
    const entry = this.#entries.get(narHash);
    if (entry === undefined || entry.owned) return;
    this.#entries.set(narHash, { ...entry, owned: true });
    try {
      const side = await this.#sideFile(narHash);
      await removeIfThere(files, layout.partial(sideName(narHash)));
      if (side !== undefined) await removeIfThere(files, layout.partial(side.data));
      this.#entries.delete(narHash);
    } catch (error) {
      this.#entries.set(narHash, entry);
      throw error;
    }
  }

  async #sideFile(narHash: NarHash): Promise<SideFile | undefined> {
    const { files, layout } = this.#context;
    const bytes = await readSmall(files, layout.partial(sideName(narHash)), Buffer.alloc(maxSideFile));
    return bytes && parseSideFile(bytes.toString(), narHash);
  }

  /** The files without an owner, the oldest first. */
  #idle(): (readonly [NarHash, Entry])[] {
    return [...this.#entries]
      .filter(([, { owned }]) => !owned)
      .sort(([, a], [, b]) => a.modified - b.modified);
  }
}

function sum(entries: Iterable<Entry>): number {
  let bytes = 0;
  for (const { space } of entries) bytes += space;
  return bytes;
}
