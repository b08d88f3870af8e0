import type { NarCache, PartialMeta } from '../cache/nar-cache.ts';
import { sameHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { SourceError } from '../source/error.ts';
import type { NarAsking, Reach, SourceBody } from '../source/source.ts';
import { inOrder } from '../source/source-pool.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { KnownPath, Offer } from './known-path.ts';
import type { Sample } from './pace.ts';
import type { Standings } from './standings.ts';

/** A file that holds a NAR, as a source's narinfo describes it. */
export type NarFile = PartialMeta;

/** One place where the file of a NAR can be read. */
export interface Supply {
  readonly id: string;
  readonly file: NarFile;
  readonly reach: Reach;
  /** Reading it costs nothing on the slow link. */
  readonly near: boolean;
  /** Its bytes may reach the client before the whole NAR is verified (DESIGN 5.4). */
  readonly trusted: boolean;
  /** Its source has wasted time enough: others come first. */
  readonly shunned: boolean;
  /** On this machine's disk already: nothing to store. */
  readonly stored: boolean;
  readonly usable: boolean;
  /** Bytes a second that it is known to give to all transfers together. */
  readonly speed: number | undefined;
  /** How many transfers read from the same source now. */
  readonly readings: number;
  open(offset: number, signal: AbortSignal, asking?: NarAsking): Promise<SourceBody>;
  /** Whether it has no NAR for those whom a `Via` header names: it may wait for one of them itself (I10). Rejects when it cannot say. */
  refuses(via: string, signal: AbortSignal): Promise<boolean>;
  /** Its bytes stopped coming. Resolves when `usable` says what that means. */
  stopped(error: SourceError): Promise<void>;
  /** Asks whether it is back, without waiting. */
  probe(): void;
  /** The whole NAR came from here, and it holds. */
  proved(): void;
  /** The whole NAR came from here, and it does not hold. */
  lied(): void;
  /** It is so slow that it is left. */
  crawled(): void;
  /** Nobody should come back here for this NAR. */
  withdraw(why: string): Promise<void>;
  delivered(sample: Sample): void;
}

/** What there is of a file already. */
export interface Begun {
  /** Its `sourceId` is where it was begun. */
  readonly file: NarFile;
  readonly bytes: number;
  /** All of it came from sources that were trusted. */
  readonly trusted: boolean;
}

export interface SupplyContext {
  readonly cache: NarCache | undefined;
  readonly standings: Standings;
  readonly clock: Clock;
}

/** The cache directory's, as a supply and as the source of a file. */
export const diskId = 'disk';
/** Rank of what is tried only when nothing else is left. */
const lastResort = 10;

type Ranked = Pick<Supply, 'near' | 'trusted' | 'shunned'>;

/** Where the NAR of a path can be had, best first: the cache directory, then the sources in their order. */
export async function suppliesOf(known: KnownPath, context: SupplyContext): Promise<Supply[]> {
  const offers = [...known.offers]
    .sort((a, b) => inOrder(a.source, b.source))
    .map((offer) => fromOffer(known, offer, context));
  const { cache } = context;
  const stored = known.stored && cache ? await cache.narinfo(known.hashPart) : undefined;
  return stored && cache ? [fromDisk(known, cache, stored), ...offers] : offers;
}

/** In which order supplies are read, lowest first: a `last` one, and who has wasted time enough, behind all others. */
export function rankOf({ near, trusted, shunned }: Ranked, last = false): number {
  const base = last || shunned ? lastResort : 0;
  if (near) return base + (trusted ? 0 : 2);
  return base + 3;
}

/** Whether two narinfos name the same bytes. The file of an uncompressed NAR is the NAR. */
export function isSameFile(a: NarFile, b: NarFile): boolean {
  if (a.compression !== b.compression) return false;
  if (a.compression === 'none') return true;
  if (a.fileHash !== undefined && b.fileHash !== undefined) return sameHash(a.fileHash, b.fileHash);
  const nameless = a.fileHash === undefined && b.fileHash === undefined;
  return nameless && a.sourceId === b.sourceId && a.url === b.url && a.fileSize === b.fileSize;
}

/**
 * Whether a supply can go on with what was begun. What an unproven source says of its file counts for nothing, so that it cannot spoil
 * what others gave. What it began itself is worth going on with over the slow link only when most is there: clients have to
 * wait for its end.
 */
export function canContinue(supply: Supply, { file, bytes, trusted }: Begun): boolean {
  if (!isSameFile(file, supply.file) || (file.sourceId === diskId) !== supply.stored) return false;
  if (!supply.trusted) return file.sourceId === supply.id;
  return trusted || supply.near || isMost(bytes, supply.file);
}

/** Whether so many bytes are at least half of a file. */
export function isMost(bytes: number, { fileSize }: NarFile): boolean {
  return fileSize !== undefined && 2 * bytes >= fileSize;
}

function fromOffer(known: KnownPath, offer: Offer, { standings, clock }: SupplyContext): Supply {
  const { source, narinfo } = offer;
  let heardAt = clock.now();
  return {
    id: source.id,
    file: fileOf(source.id, narinfo),
    reach: source.source.reach,
    near: source.source.reach !== 'upstream',
    stored: false,
    get trusted() {
      return standings.trusts(source);
    },
    get shunned() {
      return standings.shuns(source);
    },
    get usable() {
      return source.usable;
    },
    get speed() {
      return source.throughput.value;
    },
    get readings() {
      return standings.readings(source);
    },
    async open(offset, signal, asking) {
      heardAt = clock.now();
      const body = await source.openNar(narinfo.url, offset, signal, asking);
      const heard = () => {
        heardAt = clock.now();
      };
      return { ...body, chunks: standings.observed(source, body.chunks, heard) };
    },
    refuses: async (via, signal) => (await source.narinfo(known.hashPart, signal, via)) === undefined,
    async stopped(error) {
      const silence = clock.now() - heardAt;
      // Odd bytes may be a login page in the place of the cache.
      if (error.fault === 'wrong' || error.fault === 'captive') await source.check();
      // While other transfers go on, this one connection has gone silent, not the source.
      else if (error.fault === 'silent' && standings.silence(source) < silence / 2) void source.check();
      else source.suspect(error);
    },
    probe: () => void source.check(),
    proved: () => standings.verified(source),
    lied: () => standings.wrong(source),
    crawled: () => standings.slow(source),
    withdraw: async () => known.withdraw(source, clock.now()),
    // Transfers that read from the same source share its link.
    delivered: ({ bytes, elapsed }) =>
      source.throughput.add(((bytes * 1_000) / elapsed) * Math.max(1, standings.readings(source))),
  };
}

function fromDisk(known: KnownPath, cache: NarCache, narinfo: Narinfo): Supply {
  return {
    id: diskId,
    file: fileOf(diskId, narinfo),
    reach: 'disk',
    near: true,
    trusted: true,
    shunned: false,
    stored: true,
    usable: true,
    speed: undefined,
    readings: 0,
    async open(offset) {
      const file = await cache.open(narinfo);
      if (file === undefined) {
        known.stored = undefined;
        throw new SourceError('gone', `the cache directory no longer has ${narinfo.url}`);
      }
      const chunks = closing(file.read(offset), () => file.close());
      return { offset, size: file.size, type: undefined, chunks };
    },
    refuses: async () => false,
    stopped: async () => {},
    probe: () => {},
    proved: () => {},
    lied: () => {},
    crawled: () => {},
    async withdraw(why) {
      if (!known.stored) return;
      known.stored = undefined;
      await cache.quarantine(narinfo, why);
    },
    delivered: () => {},
  };
}

function fileOf(sourceId: string, { url, compression, fileHash, fileSize }: Narinfo): NarFile {
  return {
    sourceId,
    url,
    compression,
    ...(fileHash && { fileHash }),
    ...(fileSize !== undefined && { fileSize }),
  };
}

async function* closing<T>(chunks: AsyncIterable<T>, close: () => Promise<void>): AsyncGenerator<T> {
  try {
    yield* chunks;
  } catch (error) {
    throw new SourceError('broken', `the cache directory cannot be read: ${String(error)}`, { cause: error });
  } finally {
    await close();
  }
}
