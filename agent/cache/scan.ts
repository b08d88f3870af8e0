import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { isNarHash, type NarHash, narHashOf, parseHash } from '../nix/hash.ts';
import { maxNarinfoBytes } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import type { Files } from './files.ts';
import { hashPartOfName, isNarFile, type Layout, type NarFile, narFileOf } from './layout.ts';
import type { NarIndex, StoredNar } from './nar-index.ts';
import { listIfThere, readSmall } from './small-files.ts';

/** Enough to keep the disk busy, few enough that requests get their turn in the thread pool. */
const parallel = 8;
const putsAtOnce = 1_000;

/** What a scan met that has no place in the index. */
export interface ScanReport {
  /** Narinfos whose NAR is not there. */
  readonly dangling: number;
  /** Narinfos that could not be read or are none. */
  readonly unreadable: number;
}

/** What the directory says of one NAR. */
interface Found {
  size: number;
  lastUse: number;
  narHash: NarHash | undefined;
  readonly paths: HashPart[];
}

/**
 * Brings the index up to date with the directory: adds what it does not know (the first time that is all), drops what is gone, and
 * notes uses by others, such as a web server on the same directory. Narinfos that are known are not read again. Requests can be
 * served, and entries added and removed, while it runs. Rejects when the directories cannot be listed, or when aborted.
 */
export async function scan(
  files: Files,
  layout: Layout,
  index: NarIndex,
  now: number,
  signal: AbortSignal,
): Promise<ScanReport> {
  const before = [...index.leastRecent()];
  // In this order, since a narinfo comes after its NAR.
  const paths = (await listIfThere(files, layout.dir)).flatMap((name) => hashPartOfName(name) ?? []);
  const found = new Map<NarFile, Found>();
  for (const name of await listIfThere(files, layout.nars)) {
    if (isNarFile(name)) found.set(name, { size: 0, lastUse: 0, narHash: undefined, paths: [] });
  }

  let dangling = 0;
  let unreadable = 0;
  const buffers = new BufferPool();
  await inParallel(paths, signal, async (path) => {
    if (index.fileOf(path) !== undefined) return;
    const facts = await buffers.use((buffer) => readFacts(files, layout.narinfo(path), buffer));
    const nar = facts && found.get(facts.file);
    if (nar === undefined) {
      if (facts === undefined) unreadable += 1;
      else dangling += 1;
      return;
    }
    nar.narHash = facts?.narHash;
    nar.paths.push(path);
  });
  await inParallel(found, signal, async ([file, nar]) => {
    try {
      const { size, lastUse } = await files.stat(layout.nar(file));
      Object.assign(nar, { size, lastUse });
    } catch {
      found.delete(file);
    }
  });

  dropWhatIsGone(index, before, found, new Set(paths));
  // A NAR may be named by a narinfo that could not be read: it is not to be evicted as nobody's.
  await addFound(index, found, new Set(before.map(({ file }) => file)), unreadable === 0, now);
  return { dangling, unreadable };
}

/** What a scan needs of a narinfo; undefined when it cannot be read or is none. */
async function readFacts(
  files: Files,
  path: string,
  into: Buffer,
): Promise<{ file: NarFile; narHash: NarHash } | undefined> {
  try {
    const text = (await readSmall(files, path, into))?.toString('latin1') ?? '';
    const file = narFileOf(field(text, 'URL'));
    return file && { file, narHash: parseNarHash(field(text, 'NarHash')) };
  } catch {
    return undefined;
  }
}

function field(text: string, key: 'URL' | 'NarHash'): string {
  return fields[key].exec(text)?.[1] ?? '';
}

const fields = { URL: /^URL:\s*(\S+)/m, NarHash: /^NarHash:\s*(\S+)/m };

function parseNarHash(text: string): NarHash {
  // A copy, since a part of a string keeps the whole of it in memory.
  const digest = Buffer.from(text.slice('sha256:'.length), 'latin1').toString('latin1');
  return text.startsWith('sha256:') && isNarHash(digest) ? digest : narHashOf(parseHash(text));
}

function dropWhatIsGone(
  index: NarIndex,
  before: readonly StoredNar[],
  nars: ReadonlyMap<NarFile, unknown>,
  paths: ReadonlySet<HashPart>,
): void {
  for (const { file, paths: known } of before) {
    if (!nars.has(file)) index.drop(file);
    else for (const path of known) if (!paths.has(path) && index.fileOf(path) === file) index.dropPath(path);
  }
}

/** Adds in the order of last use; what is used meanwhile ends up as most recently used all the same. */
async function addFound(
  index: NarIndex,
  found: ReadonlyMap<NarFile, Found>,
  knownBefore: ReadonlySet<NarFile>,
  withNobodys: boolean,
  began: number,
): Promise<void> {
  const inOrder = [...found].sort(([, a], [, b]) => a.lastUse - b.lastUse);
  let puts = 0;
  for (const [file, { paths, ...nar }] of inOrder) {
    const known = index.nar(file);
    const isNews =
      known === undefined
        ? !knownBefore.has(file) && (withNobodys || paths.length > 0)
        : known.size !== nar.size || known.lastUse + 1 < nar.lastUse || paths.length > 0;
    if (!isNews) continue;
    index.put({ file, ...nar });
    for (const path of paths) index.put({ file, ...nar }, path);
    puts += 1;
    if (puts % putsAtOnce === 0) await yieldToLoop();
  }
  const usedSince = [...index.leastRecent()].filter(({ lastUse }) => lastUse >= began);
  for (const { file, lastUse } of usedSince.sort((a, b) => a.lastUse - b.lastUse)) index.touch(file, lastUse);
}

async function inParallel<T>(
  items: Iterable<T>,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const worker = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      signal.throwIfAborted();
      await work(next.value);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

/** Buffers for as many narinfos as are read at a time. */
class BufferPool {
  readonly #free: Buffer[] = [];

  async use<T>(work: (buffer: Buffer) => Promise<T>): Promise<T> {
    const buffer = this.#free.pop() ?? Buffer.allocUnsafe(maxNarinfoBytes + 1);
    try {
      return await work(buffer);
    } finally {
      this.#free.push(buffer);
    }
  }
}
