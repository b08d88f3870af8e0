import type { Compression } from '../nix/compression.ts';
import type { Hash, NarHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';

/** The cache directory as the relay sees it. Nothing here rejects because of the disk, save where said. */
export interface NarCache {
  /**
   * The stored narinfo, as stored: compressed, URL `nar/<file hash>.nar<extension>`. Undefined when there is none, when its NAR is
   * gone or not of its FileSize, and when the disk fails, which is counted. Counts as a use.
   */
  narinfo(hashPart: HashPart): Promise<Narinfo | undefined>;

  /**
   * Opens a stored NAR, which is not evicted while it is open; undefined when it is gone, and when its file turns out not to be what
   * its narinfo says, which is looked into at first use. Counts as a use.
   */
  open(narinfo: Narinfo): Promise<StoredFile | undefined>;

  /** The paths whose narinfos name a stored NAR file by this URL. Waits for the first reading of the directory where it must. */
  pathsOf(url: string): Promise<readonly HashPart[]>;

  /**
   * The partial file of one NAR, which has one owner at a time. Undefined when another has it or the disk does not take it (full,
   * read-only, failing, beyond the limits): the caller relays without storing.
   */
  partial(narHash: NarHash): Promise<PartialNar | undefined>;

  /**
   * Stores the narinfo of a path whose NAR is here already, under another path: resolves to the narinfo as stored, or undefined when
   * no such NAR is known. The caller has verified the narinfo.
   */
  adopt(narinfo: Narinfo): Promise<Narinfo | undefined>;

  /** A stored NAR turned out wrong: sets it and every narinfo that names it aside in `quarantine/`. */
  quarantine(narinfo: Narinfo, reason: string): Promise<void>;
}

/** A stored NAR, open. */
export interface StoredFile {
  /** Bytes. */
  readonly size: number;
  /** When it was last written to, in ms since the epoch. */
  readonly modified: number;
  /**
   * The bytes from `offset` to the end, in chunks of up to 256 KiB.
   * @throws CacheError `cache-read` when the disk fails, the file is shorter than it was, or it has been closed
   */
  read(offset: number): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/** Where the bytes of a partial file came from: what a later resume must match. */
export interface PartialMeta {
  readonly sourceId: string;
  readonly url: string;
  readonly compression: Compression;
  readonly fileHash?: Hash;
  /** Bytes of the whole file. */
  readonly fileSize?: number;
}

/** The bytes of one NAR file as far as they have come. Its owner ends it with `release` or `discard`, whatever happened before. */
export interface PartialNar {
  /** Of the bytes that are there; undefined while there are none. */
  readonly meta: PartialMeta | undefined;
  /** Bytes there. After a power loss these may be wrong, as the NAR's hash will show. */
  readonly length: number;

  /** Discards what is there and starts anew; false when the disk refuses. */
  begin(meta: PartialMeta): Promise<boolean>;

  /** Adds bytes at the end, in the order of the calls; false when the disk refuses, and ever after until `begin`. */
  append(chunk: Uint8Array): Promise<boolean>;

  /**
   * What has been appended, from `offset` to where the end is when the reader gets there, in chunks of up to 256 KiB. Goes on after
   * `commit`.
   * @throws CacheError `cache-read` when the disk fails, and after `begin`, `release` or `discard`
   */
  read(offset: number): AsyncIterable<Buffer>;

  /**
   * The file is whole and the caller has verified its NAR: makes it durable, then visible, then its narinfo. URL, Compression,
   * FileHash and FileSize are the file's, whatever the narinfo said; `compression` where it is not as `begin` had it. False when the
   * disk refuses.
   */
  commit(
    narinfo: Narinfo,
    file: { readonly hash: Hash; readonly size: number; readonly compression?: Compression },
  ): Promise<boolean>;

  /** Gives the partial up, leaving its bytes for a later resume. */
  release(): Promise<void>;

  /** Gives the partial up and removes its bytes. */
  discard(): Promise<void>;
}

/** What a narinfo says of the file that its NAR is stored in. */
export interface NarFileFacts {
  readonly compression: Compression;
  readonly fileHash: Hash;
  /** Bytes. */
  readonly fileSize: number;
}
