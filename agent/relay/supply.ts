import type { NarCache } from '../cache/nar-cache.ts';
import type { Compression } from '../nix/compression.ts';
import { formatHash, type Hash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { SourceError } from '../source/error.ts';
import type { SourceBody } from '../source/source.ts';
import { inOrder } from '../source/source-pool.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { KnownPath, Offer } from './known-path.ts';

/** A file that holds a NAR. Two sources have the same file when both name the same FileHash. */
export interface NarFile {
  readonly key: string;
  readonly sourceId: string;
  readonly url: string;
  readonly compression: Compression;
  readonly fileHash: Hash | undefined;
  /** Bytes, as claimed. */
  readonly fileSize: number | undefined;
}

/** One place where the file of a NAR can be read. */
export interface Supply {
  readonly id: string;
  readonly file: NarFile;
  /** Reading it costs nothing on the slow link. */
  readonly near: boolean;
  /** Its bytes may reach the client before the whole NAR is verified (DESIGN 5.4). */
  readonly streams: boolean;
  /** On this machine's disk already: nothing to store. */
  readonly stored: boolean;
  readonly usable: boolean;
  open(offset: number, signal: AbortSignal): Promise<SourceBody>;
  /** Its bytes stopped coming. */
  stopped(error: SourceError): void;
  /** It does not have the NAR, or has a wrong one: nobody should come back for it. */
  withdraw(why: string): Promise<void>;
  /** So many bytes came in so many ms. */
  delivered(bytes: number, ms: number): void;
}

/** Where the NAR of a path can be had, best first: the cache directory, then the sources in their order. */
export async function suppliesOf(
  known: KnownPath,
  cache: NarCache | undefined,
  clock: Clock,
): Promise<Supply[]> {
  const offers = [...known.offers]
    .sort((a, b) => inOrder(a.source, b.source))
    .map((offer) => fromOffer(known, offer, clock));
  const stored = known.stored && cache ? await cache.narinfo(known.hashPart) : undefined;
  return stored && cache ? [fromDisk(known, cache, stored), ...offers] : offers;
}

function fromOffer(known: KnownPath, { source, narinfo }: Offer, clock: Clock): Supply {
  return {
    id: source.id,
    file: fileOf(source.id, narinfo),
    near: source.source.reach !== 'upstream',
    streams: source.source.configured,
    stored: false,
    get usable() {
      return source.usable;
    },
    open: (offset, signal) => source.openNar(narinfo.url, offset, signal),
    stopped: (error) => source.suspect(error),
    withdraw: async () => known.withdraw(source, clock.now()),
    delivered: (bytes, ms) => source.throughput.add((bytes * 1_000) / Math.max(ms, 1)),
  };
}

function fromDisk(known: KnownPath, cache: NarCache, narinfo: Narinfo): Supply {
  return {
    id: 'disk',
    file: fileOf('disk', narinfo),
    near: true,
    streams: true,
    stored: true,
    usable: true,
    open: async (offset) => {
      const file = await cache.open(narinfo);
      if (file === undefined)
        throw new SourceError('gone', `the cache directory no longer has ${narinfo.url}`);
      return {
        offset,
        size: file.size,
        type: undefined,
        chunks: closing(file.read(offset), () => file.close()),
      };
    },
    stopped: () => {},
    withdraw: async (why) => {
      known.stored = false;
      await cache.quarantine(narinfo, why);
    },
    delivered: () => {},
  };
}

function fileOf(sourceId: string, narinfo: Narinfo): NarFile {
  const { url, compression, fileHash, fileSize } = narinfo;
  const name = fileHash === undefined ? `${sourceId} ${url}` : formatHash(fileHash, 'base32');
  return { key: `${compression} ${name}`, sourceId, url, compression, fileHash, fileSize };
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
