import { isNarHash, type NarHash, narHashOf, parseHash } from '../nix/hash.ts';
import { maxNarinfoBytes } from '../nix/narinfo.ts';
import { type HashPart, isHashPart } from '../nix/store-path.ts';
import type { Files } from './files.ts';
import { inParallel } from './in-parallel.ts';
import { inTurns } from './in-turns.ts';
import { hashPartOfName, isNarFile, type Layout, type NarFile, narFileOf } from './layout.ts';
import { leanHeap } from './lean-heap.ts';
import type { NarIndex, StoredNar } from './nar-index.ts';
import { derivationKey, type Relations } from './references.ts';
import { listIfThere, readSmall } from './small-files.ts';

/** Enough to keep the disk busy, few enough that requests get their turn in the thread pool. */
const parallel = 8;

/** What a scan met that has no place in the index. */
export interface ScanReport {
  /** Narinfos whose NAR is not there. */
  readonly dangling: number;
  /** Narinfos that could not be read or are none. */
  readonly unreadable: number;
}

/** What the directory says of one NAR. */
interface Found {
  readonly file: NarFile;
  /** Whether the index had it when it was listed. */
  readonly known: boolean;
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
  signal: AbortSignal,
): Promise<ScanReport> {
  using _lean = leanHeap();
  const touchedMeanwhile = index.noteTouches();
  const before = index.names();
  // In this order, since a narinfo comes after its NAR.
  const paths = new Set<HashPart>();
  await inTurns(await listIfThere(files, layout.dir), (name) => {
    const path = hashPartOfName(name);
    if (path !== undefined) paths.add(path);
  });
  const found = new Map<NarFile, Found>();
  await inTurns(await listIfThere(files, layout.nars), (file) => {
    if (!isNarFile(file)) return;
    const known = index.nar(file) !== undefined;
    found.set(file, { file, known, size: 0, lastUse: 0, narHash: undefined, paths: [] });
  });
  await inTurns(before.files, (file) => !found.has(file) && index.drop(file));
  await inTurns(before.paths, (path) => !paths.has(path) && index.dropPath(path));

  let dangling = 0;
  let unreadable = 0;
  const buffers = new BufferPool();
  await inParallel(parallel, paths, signal, async (path) => {
    if (index.fileOf(path) !== undefined) return;
    const facts = await buffers.use((buffer) => readFacts(files, layout.narinfo(path), buffer));
    const nar = facts && found.get(facts.file);
    if (facts === undefined) unreadable += 1;
    else if (nar === undefined) dangling += 1;
    else {
      nar.narHash = facts.narHash;
      nar.paths.push(path);
      index.relate(path, facts.relations);
    }
  });
  const news: Found[] = [];
  await inParallel(parallel, found.values(), signal, async (nar) => {
    const facts = await files.stat(layout.nar(nar.file)).catch(() => undefined);
    if (facts?.isFile) Object.assign(nar, { size: facts.size, lastUse: facts.lastUse });
    // A NAR may be named by a narinfo that could not be read: then it is not to be evicted as nobody's.
    if (facts?.isFile && isNews(nar, index.nar(nar.file), unreadable === 0)) news.push(nar);
    else for (const path of nar.paths) if (index.fileOf(path) === undefined) index.dropPath(path);
  });

  await inTurns(oldestFirst(news), ({ known, paths, ...nar }) => {
    index.put(nar);
    for (const path of paths) index.put(nar, path);
  });
  for (const file of touchedMeanwhile()) index.touch(file, 0);
  return { dangling, unreadable };
}

function isNews(nar: Found, indexed: StoredNar | undefined, withNobodys: boolean): boolean {
  if (indexed === undefined) return !nar.known && (withNobodys || nar.paths.length > 0);
  return nar.paths.length > 0 || indexed.size !== nar.size || indexed.lastUse + 1 < nar.lastUse;
}

/** What a scan needs of a narinfo; undefined when it cannot be read or is none. */
async function readFacts(
  files: Files,
  path: string,
  into: Buffer,
): Promise<{ file: NarFile; narHash: NarHash; relations: Relations } | undefined> {
  try {
    const text = (await readSmall(files, path, into))?.toString('latin1') ?? '';
    const file = narFileOf(field(text, 'URL'));
    const references = parseReferences(field(text, 'References'));
    const relations = { references, derivation: derivationKey(field(text, 'Deriver')) };
    return file && { file, narHash: parseNarHash(field(text, 'NarHash')), relations };
  } catch {
    return undefined;
  }
}

function field(text: string, key: keyof typeof fields): string {
  return fields[key].exec(text)?.[1] ?? '';
}

const fields = {
  URL: /^URL:\s*(\S+)/m,
  NarHash: /^NarHash:\s*(\S+)/m,
  References: /^References:[ \t]*(.*)/m,
  Deriver: /^Deriver:[ \t]*(\S+)/m,
};

function parseReferences(text: string): HashPart[] {
  return text
    .split(/\s+/)
    .map((base) => base.slice(0, 32))
    .filter(isHashPart);
}

/** A part of a string keeps the whole of it in memory. */
function copied(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

function parseNarHash(text: string): NarHash {
  const digest = copied(text.slice('sha256:'.length));
  return text.startsWith('sha256:') && isNarHash(digest) ? digest : narHashOf(parseHash(text));
}

/** Exact to the second. A sort of 100,000 objects would block the event loop for 150 ms, one of numbers takes 10. */
function* oldestFirst(nars: readonly Found[]): Generator<Found> {
  const places = 2 ** 22;
  const keys = new Float64Array(nars.length);
  for (const [n, { lastUse }] of nars.entries()) keys[n] = Math.floor(lastUse / 1000) * places + n;
  for (const key of keys.sort()) {
    const nar = nars[key % places];
    if (nar !== undefined) yield nar;
  }
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
