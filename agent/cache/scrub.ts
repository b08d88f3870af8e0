import { availableParallelism } from 'node:os';
import { contentAddressHolds } from '../nix/content-address.ts';
import { FormatError } from '../nix/error.ts';
import { formatHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { type PublicKey, trustedSigner } from '../nix/signature.ts';
import type { HashPart } from '../nix/store-path.ts';
import { isAbsent } from './error.ts';
import { type Files, realFiles } from './files.ts';
import { GroupedSync } from './grouped-sync.ts';
import { Holds } from './holds.ts';
import { inParallel } from './in-parallel.ts';
import { hashPartOfName, isNarFile, Layout, type NarFile, narFileOf, narinfoName } from './layout.ts';
import { checkNar, type NarCheck } from './nar-check.ts';
import { NarIndex } from './nar-index.ts';
import { NarinfoFiles } from './narinfo-files.ts';
import { readChunks } from './read-chunks.ts';
import { Removal } from './removal.ts';
import { listIfThere, removeIfThere } from './small-files.ts';

/** What was changed in the last hour may be on its way in: its other half is not missed. */
const grace = 60 * 60_000;
/** Decoding xz takes up to 65 MiB each. */
const parallel = Math.min(availableParallelism(), 4);

export interface ScrubOptions {
  readonly dir: string;
  readonly storeDir: string;
  readonly keys: ReadonlyMap<string, PublicKey>;
  /** Whether to set aside and remove what is found, instead of only telling. */
  readonly repair: boolean;
  /** Called after each narinfo. */
  readonly progress?: (progress: ScrubProgress) => void;
  readonly signal?: AbortSignal;
  readonly files?: Files;
  /** Ms since the epoch. */
  readonly wall?: () => number;
}

export interface ScrubProgress {
  /** Narinfos checked so far. */
  readonly checked: number;
  readonly total: number;
  /** Bytes of NAR files read so far. */
  readonly bytes: number;
}

/** A file of the cache directory, by its path there, and what is the matter with it. */
export interface ScrubFault {
  readonly file: string;
  readonly reason: string;
}

/** What a scrub found and, where so asked, did. */
export interface ScrubReport extends ScrubProgress {
  /** Narinfos and NARs that are wrong: set aside in `quarantine/`. */
  readonly wrong: readonly ScrubFault[];
  /** Narinfos whose NAR is not there: removed. */
  readonly withoutNar: readonly string[];
  /** NARs that no narinfo names: removed. */
  readonly withoutNarinfo: readonly string[];
  /** What the disk failed to read: left alone. */
  readonly unreadable: readonly ScrubFault[];
  /** Narinfos without a signature by one of the keys, and not content-addressed: left alone, for they may be somebody's. */
  readonly untrusted: readonly string[];
  /** Narinfos whose NAR is of a compression that narrowcast cannot undo: only the file was verified. */
  readonly undecodable: readonly string[];
}

/**
 * Verifies every entry: signature or content address, FileHash, FileSize, NarHash, NarSize. An agent may use the directory meanwhile.
 * Rejects when the directory cannot be listed, a repair fails, or the signal is aborted.
 */
export function scrub(options: ScrubOptions): Promise<ScrubReport> {
  return new Scrub(options).run();
}

class Scrub {
  readonly #options: ScrubOptions;
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #sync: GroupedSync;
  readonly #narinfos: NarinfoFiles;
  readonly #wall: () => number;
  #checked = 0;
  #bytes = 0;
  readonly #wrong: ScrubFault[] = [];
  readonly #wrongNarinfos: HashPart[] = [];
  readonly #wrongNars = new Set<NarFile>();
  readonly #withoutNar: HashPart[] = [];
  readonly #unreadable: ScrubFault[] = [];
  readonly #untrusted: string[] = [];
  readonly #undecodable: string[] = [];
  /** The paths that name each NAR. */
  readonly #named = new Map<NarFile, HashPart[]>();
  /** By what is checked, for a NAR may have several narinfos. */
  readonly #checks = new Map<string, Promise<NarCheck | 'absent'>>();

  constructor(options: ScrubOptions) {
    const { dir, storeDir, files = realFiles, wall = Date.now } = options;
    this.#options = options;
    this.#files = files;
    this.#layout = new Layout(dir);
    this.#sync = new GroupedSync(files);
    this.#narinfos = new NarinfoFiles(files, this.#layout, this.#sync, storeDir);
    this.#wall = wall;
  }

  async run(): Promise<ScrubReport> {
    const { repair, progress, signal = new AbortController().signal } = this.#options;
    const paths = await this.#listPaths();
    await inParallel(parallel, paths, signal, async (path) => {
      await this.#checkPath(path);
      this.#checked += 1;
      progress?.({ checked: this.#checked, total: paths.length, bytes: this.#bytes });
    });
    const strays = await this.#strays(new Set(paths));
    if (repair) await this.#repair(strays);
    return {
      checked: this.#checked,
      total: paths.length,
      bytes: this.#bytes,
      wrong: this.#wrong,
      withoutNar: this.#withoutNar.map(narinfoName),
      withoutNarinfo: strays.map((file) => `nar/${file}`),
      unreadable: this.#unreadable,
      untrusted: this.#untrusted,
      undecodable: this.#undecodable,
    };
  }

  async #listPaths(): Promise<HashPart[]> {
    return (await listIfThere(this.#files, this.#layout.dir)).flatMap((name) => hashPartOfName(name) ?? []);
  }

  async #checkPath(path: HashPart): Promise<void> {
    try {
      const narinfo = await this.#narinfos.read(path);
      if (narinfo !== undefined) await this.#checkNarinfo(path, narinfo);
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      if (error instanceof FormatError) this.#wrongNarinfo(path, error.message);
      else this.#unreadable.push({ file: narinfoName(path), reason: String(error) });
    }
  }

  async #checkNarinfo(path: HashPart, narinfo: Narinfo): Promise<void> {
    const file = narFileOf(narinfo.url);
    if (file === undefined) return this.#wrongNarinfo(path, 'its URL is not a file in nar/');
    const trust = this.#trust(narinfo);
    if (typeof trust === 'object') return this.#wrongNarinfo(path, trust.wrong);
    if (trust === 'untrusted') this.#untrusted.push(narinfoName(path));
    this.#named.set(file, [...(this.#named.get(file) ?? []), path]);

    const check = await this.#checkOnce(narinfo, file);
    if (check === 'absent') {
      const facts = await this.#files.stat(this.#layout.narinfo(path)).catch(() => undefined);
      if (facts !== undefined && this.#isOld(facts.changed)) this.#withoutNar.push(path);
    } else if (check === 'undecodable') {
      this.#undecodable.push(narinfoName(path));
    } else if (check !== 'right') {
      this.#wrongNars.add(file);
      this.#wrong.push({ file: narinfoName(path), reason: check.wrong });
    }
  }

  #trust(narinfo: Narinfo): 'trusted' | 'untrusted' | { readonly wrong: string } {
    const { keys, storeDir } = this.#options;
    if (trustedSigner(narinfo, storeDir, keys) !== undefined || contentAddressHolds(narinfo, storeDir))
      return 'trusted';
    const claimed = narinfo.signatures.find(({ keyName }) => keys.has(keyName));
    return claimed ? { wrong: `its signature by ${claimed.keyName} is false` } : 'untrusted';
  }

  #checkOnce(narinfo: Narinfo, file: NarFile): Promise<NarCheck | 'absent'> {
    const { compression, narHash, narSize, fileHash, fileSize } = narinfo;
    const key = JSON.stringify([
      file,
      compression,
      formatHash(narHash, 'base32'),
      narSize,
      fileHash && formatHash(fileHash, 'base32'),
      fileSize,
    ]);
    const check = this.#checks.get(key) ?? this.#check(narinfo, file);
    this.#checks.set(key, check);
    return check;
  }

  async #check(narinfo: Narinfo, file: NarFile): Promise<NarCheck | 'absent'> {
    const opened = await this.#files.open(this.#layout.nar(file), 'read').catch((error: unknown) => {
      if (isAbsent(error)) return undefined;
      throw error;
    });
    if (opened === undefined) return 'absent';
    try {
      const { size } = await opened.facts();
      return await checkNar(narinfo, this.#counted(readChunks(opened, file, 0, () => size)));
    } finally {
      await opened.close();
    }
  }

  async *#counted(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of bytes) {
      this.#bytes += chunk.length;
      this.#options.signal?.throwIfAborted();
      yield chunk;
    }
  }

  #wrongNarinfo(path: HashPart, reason: string): void {
    this.#wrongNarinfos.push(path);
    this.#wrong.push({ file: narinfoName(path), reason });
  }

  /** NARs that no narinfo names, counting those that came while the scrub ran. */
  async #strays(seen: ReadonlySet<HashPart>): Promise<NarFile[]> {
    // A narinfo that could not be read may name any of them.
    if (this.#unreadable.length > 0) return [];
    for (const path of await this.#listPaths()) {
      const narinfo = seen.has(path) ? undefined : await this.#narinfos.read(path).catch(() => undefined);
      const file = narinfo && narFileOf(narinfo.url);
      if (file !== undefined) this.#named.set(file, [...(this.#named.get(file) ?? []), path]);
    }
    const strays: NarFile[] = [];
    for (const file of await listIfThere(this.#files, this.#layout.nars)) {
      if (!isNarFile(file) || this.#named.has(file)) continue;
      const facts = await this.#files.stat(this.#layout.nar(file)).catch(() => undefined);
      if (facts?.isFile && this.#isOld(facts.changed)) strays.push(file);
    }
    return strays;
  }

  async #repair(strays: readonly NarFile[]): Promise<void> {
    const removal = new Removal(this.#files, this.#layout, this.#sync, new NarIndex(), new Holds());
    await this.#files.makeDirectory(this.#layout.quarantine);
    for (const file of this.#wrongNars)
      await removal.setAside({
        file,
        size: 0,
        narHash: undefined,
        paths: this.#named.get(file) ?? [],
        lastUse: 0,
      });
    for (const path of this.#wrongNarinfos)
      await this.#files.rename(this.#layout.narinfo(path), this.#layout.setAside(narinfoName(path)));
    for (const path of this.#withoutNar) await removeIfThere(this.#files, this.#layout.narinfo(path));
    await this.#sync.directory(this.#layout.dir);
    for (const file of strays) await removeIfThere(this.#files, this.#layout.nar(file));
  }

  #isOld(changed: number): boolean {
    return changed < this.#wall() - grace;
  }
}
