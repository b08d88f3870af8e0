import { type NarHash, narHashOf, sameHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { Trusted } from './trust.ts';

/** A source that has the NAR of a path, and how: URL, compression and FileHash as that source's own narinfo says. */
export interface Offer {
  readonly source: MonitoredSource;
  readonly narinfo: Narinfo;
}

const distrustFor = 60_000;

/** What the relay knows of one store path: the trusted narinfo, and who has the NAR. */
export class KnownPath {
  readonly narinfo: Narinfo;
  /** The key that signed it, or `content address`. */
  readonly trustedBy: string;
  readonly narHash: NarHash;
  /** The NAR is in the cache directory, as far as is known. */
  stored: boolean;
  /** When the sources were last asked, in the clock's ms. */
  askedAt: number;
  readonly #offers = new Map<string, Offer>();
  /** Sources that did not keep what they offered, and until when they are not believed. */
  readonly #withdrawn = new Map<string, number>();

  constructor(trusted: Trusted, askedAt: number, stored = false) {
    this.narinfo = trusted.narinfo;
    this.trustedBy = trusted.by;
    this.narHash = narHashOf(trusted.narinfo.narHash);
    this.askedAt = askedAt;
    this.stored = stored;
  }

  get hashPart(): HashPart {
    return this.narinfo.storePath.hashPart;
  }

  get offers(): readonly Offer[] {
    return [...this.#offers.values()];
  }

  /** Whether the NAR can be had now (I2). */
  get obtainable(): boolean {
    if (this.stored) return true;
    for (const { source } of this.#offers.values()) if (source.usable) return true;
    return false;
  }

  /**
   * Adds a source whose narinfo names the same NAR, trusted or not: equal NarHash means equal bytes (I4). False when it names
   * another, or was found out a moment ago.
   */
  offer(offer: Offer, now: number): boolean {
    if (this.hasWithdrawn(offer.source, now)) return false;
    const same =
      offer.narinfo.narSize === this.narinfo.narSize && sameHash(offer.narinfo.narHash, this.narinfo.narHash);
    if (same) this.#offers.set(offer.source.id, offer);
    return same;
  }

  /** Whether a source was found out a moment ago. */
  hasWithdrawn(source: MonitoredSource, now: number): boolean {
    return (this.#withdrawn.get(source.id) ?? 0) > now;
  }

  /** A source does not have the NAR, or gave a wrong one: it is not asked for it again for a minute. */
  withdraw(source: MonitoredSource, now: number): void {
    this.#offers.delete(source.id);
    this.#withdrawn.set(source.id, now + distrustFor);
  }
}
