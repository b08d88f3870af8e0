import type { CacheInfo } from '../nix/cache-info.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';

/** Where a source stands: on this machine's own disks, on the LAN, or on the internet. */
export type Reach = 'disk' | 'lan' | 'upstream';

/** Bytes of a file at a source, from `offset` on. */
export interface SourceBody {
  /** Position of the first byte: what was asked for, or 0 where the source ignores ranges. */
  readonly offset: number;
  /** Size of the whole file in bytes, where the source tells. */
  readonly size: number | undefined;
  /** Media type as the source names it. */
  readonly type: string | undefined;
  /** The bytes; ends before `size` only by throwing a SourceError. Leaving the loop frees what it holds. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** What else there is to say when a NAR is asked for. */
export interface NarAsking {
  /** See Source.narinfo. */
  readonly via?: string | undefined;
  /**
   * The source went silent in the middle of this NAR before, so asking again is better than waiting long. A body that goes on at `offset`
   * may then pause only for as long as it has flowed, or an eighth of the usual time; a longer pause is the fault `stalled`.
   */
  readonly impatient?: boolean;
}

/**
 * One place that has narinfos and NARs. Every method makes one try, bounded by progress and by `signal`;
 * patience, retries and health are MonitoredSource's. All throw SourceError; an aborted call throws the signal's reason.
 */
export interface Source {
  /** Stable name for logs and statistics, without credentials. */
  readonly id: string;
  readonly reach: Reach;
  /** The operator named it, so its NARs may reach the client before their last byte is verified (DESIGN 5.4). */
  readonly configured: boolean;
  /** Reachable with no network at all: a directory, or a server on loopback. */
  readonly onThisMachine: boolean;
  /** The operator's `?priority=N`; lower is asked first. */
  readonly priority: number | undefined;

  /**
   * The narinfo of a path, read but not verified; undefined when the source says that it has none. `via` is the `Via` header
   * of the question that this one answers, if another agent asked it (I10).
   */
  narinfo(hashPart: HashPart, signal: AbortSignal, via?: string): Promise<Narinfo | undefined>;
  /** Opens a NAR by its narinfo's URL from byte `offset` on. A source without ranges begins at 0 (see SourceBody.offset). */
  openNar(url: string, offset: number, signal: AbortSignal, asking?: NarAsking): Promise<SourceBody>;
  /** Opens another file of the cache (`.ls`, `log/…`, `realisations/…`); undefined when there is none. */
  openFile(path: string, signal: AbortSignal): Promise<SourceBody | undefined>;
  /** Asks whether a Nix cache is there. */
  probe(signal: AbortSignal): Promise<CacheInfo>;
  /** Closes all connections, which may belong to a network that the machine has left; later calls make new ones. */
  dropConnections(): Promise<void>;
  /** Closes idle connections and aborts the others. */
  close(): Promise<void>;
}
