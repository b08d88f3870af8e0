import { type NarHash, narHashOf, sameHash } from '../nix/hash.ts';
import type { Narinfo, NarinfoFile } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import { copyOf, detached, memoryOf } from './detached.ts';
import type { Trusted } from './trust.ts';

/** A source that has the NAR of a path, and how: URL, compression, FileHash and FileSize are as that source's own narinfo says. */
export interface Offer {
  readonly source: MonitoredSource;
  readonly narinfo: Narinfo;
}

/** How long it is believed that a source still has what it offered, in ms. */
const offeredFor = 3_600_000;
/** How long it is believed that the cache directory still has what was seen there, in ms: it evicts. */
const storedFor = 60_000;
const distrustFor = 60_000;
/** Bytes. */
const perOffer = 600;

/** What the relay knows of one store path: the trusted narinfo, and who has the NAR. */
export class KnownPath {
  readonly narinfo: Narinfo;
  /** The key that signed it, or `content address`. */
  readonly trustedBy: string;
  readonly narHash: NarHash;
  /** Where the NAR is in the cache directory, as far as is known. */
  stored: NarinfoFile | undefined;
  #storedAt: number;
  readonly #offers = new Map<string, { readonly offer: Offer; readonly at: number }>();
  /** Sources that did not keep what they offered, and until when they are not believed. */
  readonly #withdrawn = new Map<string, number>();

  /** `now` in the clock's ms; `stored` when the NAR was seen in the cache directory, with more of its narinfo maybe. */
  constructor(trusted: Trusted, now: number, stored?: NarinfoFile) {
    this.narinfo = detached(trusted.narinfo);
    this.trustedBy = trusted.by;
    this.narHash = narHashOf(trusted.narinfo.narHash);
    this.stored = stored && fileOf(stored);
    this.#storedAt = stored ? now : Number.NEGATIVE_INFINITY;
  }

  get hashPart(): HashPart {
    return this.narinfo.storePath.hashPart;
  }

  get offers(): readonly Offer[] {
    return [...this.#offers.values()].map(({ offer }) => offer);
  }

  /** What it takes in memory, in bytes, roughly. */
  get memory(): number {
    let bytes = memoryOf(this.narinfo);
    for (const { offer } of this.#offers.values()) bytes += perOffer + offer.narinfo.url.length;
    return bytes;
  }

  /** Whether the NAR can be had now, as far as that was found out lately (I2). */
  obtainable(now: number): boolean {
    if (this.stored && now - this.#storedAt < storedFor) return true;
    for (const { offer, at } of this.#offers.values())
      if (offer.source.usable && now - at < offeredFor) return true;
    return false;
  }

  /** The NAR was found in the cache directory just now, or not. */
  seen(stored: NarinfoFile | undefined, now: number): void {
    this.stored = stored && fileOf(stored);
    if (stored) this.#storedAt = now;
  }

  /** Whether a narinfo, trusted or not, names the same NAR: equal NarHash means equal bytes (I4). */
  isSame({ narHash, narSize }: Narinfo): boolean {
    return narSize === this.narinfo.narSize && sameHash(narHash, this.narinfo.narHash);
  }

  /** Adds a source whose narinfo names the same NAR. False when it names another, or the source was found out a moment ago. */
  offer({ source, narinfo }: Offer, now: number): boolean {
    if (this.hasWithdrawn(source, now) || !this.isSame(narinfo)) return false;
    this.#offers.set(source.id, { offer: { source, narinfo: withFileOf(this.narinfo, narinfo) }, at: now });
    return true;
  }

  /** Whether a source was found out a moment ago. */
  hasWithdrawn(source: MonitoredSource, now: number): boolean {
    return (this.#withdrawn.get(source.id) ?? Number.NEGATIVE_INFINITY) > now;
  }

  /** A source does not have the NAR, or gave a wrong one: it is not asked for it again for a minute. */
  withdraw(source: MonitoredSource, now: number): void {
    this.#offers.delete(source.id);
    this.#withdrawn.set(source.id, now + distrustFor);
  }
}

/** The trusted narinfo with another one's file; nothing else of that is kept, for nobody has vouched for it. */
export function withFileOf(trusted: Narinfo, file: NarinfoFile): Narinfo {
  const { fileHash: _, fileSize: __, ...rest } = trusted;
  return { ...rest, ...fileOf(file) };
}

function fileOf({ url, compression, fileHash, fileSize }: NarinfoFile): NarinfoFile {
  return {
    url: copyOf(url),
    compression,
    ...(fileHash !== undefined && { fileHash }),
    ...(fileSize !== undefined && { fileSize }),
  };
}
