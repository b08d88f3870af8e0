import { emptyCounts, emptyNarinfoOfSource, emptyNarOfSource, placeIn } from './counts.ts';
import type { Counts, NarinfoOfSource, NarOfSource, Origin } from './counts-schema.ts';
import { Histogram } from './histogram.ts';
import { Ring } from './ring.ts';

/** Whom or what an answer or bytes came from. */
export interface Giver {
  /** `memory`, `disk` for the cache directory, else a source's id. */
  readonly id: string;
  readonly origin: Origin;
}

/** A request that is finished. */
export interface Finished {
  readonly method: 'GET' | 'HEAD';
  readonly kind: 'narinfo' | 'nar' | 'other';
  /** The store path in full, or as much as is known of it. */
  readonly path: string;
  /** `left`: the client went away first; `rejected`: absent, as what was answered to us is not true. */
  readonly result: 'hit' | 'miss' | 'absent' | 'rejected' | 'failed' | 'left';
  readonly giver: Giver | undefined;
  /** Of the body, as sent. */
  readonly bytes: number;
  /** From the request to the end of its answer. */
  readonly ms: number;
  readonly reason: string | undefined;
}

/** A source's answer that failed verification. */
export interface Rejected {
  readonly kind: 'narinfo' | 'nar';
  readonly path: string;
  readonly giver: Giver;
  readonly reason: string;
}

/** Why something that was sent to be kept is refused: as in the counters. */
export type Refusal = Exclude<keyof Counts['uploads'], 'paths' | 'bytes'>;

export type TransferResult = 'verified' | 'failed' | 'left';

/** When something happened, in ms since the epoch. */
export interface Dated {
  readonly at: number;
}

/** Who wants to know of each event as it happens. */
export interface Listener {
  request(finished: Finished & Dated): void;
  rejection(rejected: Rejected & Dated): void;
  ended(storePath: string, result: TransferResult): void;
}

/** The cache directory. */
export const disk: Giver = { id: 'disk', origin: 'disk' };
const keptRequests = 500;
const keptRejections = 100;

/**
 * What the agent has done since its start; counts-schema.ts says what each count means. The parts of the agent call it where things
 * happen; it does no I/O, and without a listener an event costs a few additions.
 */
export class Counters {
  readonly counts: Counts = emptyCounts();
  /** Of narinfo requests, in ms. */
  readonly lookups = new Histogram();
  readonly #wall: () => number;
  readonly #requests = new Ring<Finished & Dated>(keptRequests);
  readonly #rejections = new Ring<Rejected & Dated>(keptRejections);
  /** The one that wants to know now. */
  listener: Listener | undefined;

  constructor(wall: () => number = Date.now) {
    this.#wall = wall;
  }

  /** The last requests of this machine's Nix, oldest first. */
  get requests(): readonly (Finished & Dated)[] {
    return this.#requests.all();
  }

  get rejections(): readonly (Rejected & Dated)[] {
    return this.#rejections.all();
  }

  /** A request of this machine's Nix. */
  local(finished: Finished): void {
    const { kind, method, result, giver, bytes } = finished;
    if (kind === 'narinfo') {
      const { narinfo } = this.counts;
      narinfo.requests += 1;
      if (result === 'hit') narinfo.hits += 1;
      else if (result === 'miss') narinfo.misses += 1;
      else narinfo.absent += 1;
      if (giver !== undefined) this.narinfosOf(giver).answered += 1;
      this.lookups.add(finished.ms);
    } else if (kind === 'nar' && method === 'GET') {
      const { nar } = this.counts;
      nar.requests += 1;
      if (result === 'hit') nar.hits += 1;
      else if (result === 'miss') nar.misses += 1;
      else if (result === 'failed') nar.failed += 1;
      else if (result !== 'left') nar.absent += 1;
    }
    if (kind !== 'other') this.counts.bytes.served += bytes;
    const dated = { ...finished, at: this.#wall() };
    this.#requests.add(dated);
    this.listener?.request(dated);
  }

  /** A request of another machine at the LAN face. */
  shared({ kind, result, bytes }: Finished): void {
    if (kind === 'other') return;
    const { shared } = this.counts;
    shared.requests += 1;
    if (result === 'hit') shared.hits += 1;
    else if (result === 'miss') shared.misses += 1;
    else if (result === 'absent' || result === 'rejected') shared.absent += 1;
    shared.bytes += bytes;
  }

  /** A path that was uploaded is taken. */
  uploaded(): void {
    this.counts.uploads.paths += 1;
  }

  /** Body bytes of an upload came. */
  uploadReceived(size: number): void {
    this.counts.uploads.bytes += size;
  }

  /** An upload, or a part of one, is refused. */
  uploadRefused(why: Refusal): void {
    this.counts.uploads[why] += 1;
  }

  /** Body bytes came over the wire, or from a directory. */
  received({ id, origin }: Giver, kind: 'narinfo' | 'nar' | 'other', size: number): void {
    const { bytes } = this.counts;
    if (origin === 'lan') bytes.fromLan += size;
    else if (origin === 'upstream') bytes.fromUpstream += size;
    else if (kind === 'nar') bytes.fromDisk += size;
    if (kind === 'narinfo') this.narinfosOf({ id, origin }).bytes += size;
    else if (kind === 'nar') this.narsOf({ id, origin }).bytes += size;
  }

  /** So many bytes of a stored NAR file went to a client as they are; not `whole` when the disk failed on the way. */
  sentStored(size: number, whole: boolean): void {
    this.received(disk, 'nar', size);
    this.saved(size);
    const nars = this.narsOf(disk);
    nars.transfers += 1;
    if (!whole) nars.failed += 1;
  }

  /** So many bytes of NARs were received in vain. */
  wasted(size: number): void {
    this.counts.bytes.wasted += size;
  }

  /** So many bytes of a NAR file came from disk or LAN. */
  saved(size: number): void {
    this.counts.bytes.savedUpstream += size;
  }

  /** A transfer is over. */
  ended(storePath: string, result: TransferResult): void {
    this.listener?.ended(storePath, result);
  }

  /** An answer failed verification. */
  rejected(rejected: Rejected): void {
    const { kind, giver } = rejected;
    this.counts[kind].rejected += 1;
    const of = kind === 'narinfo' ? this.narinfosOf(giver) : this.narsOf(giver);
    of.rejected += 1;
    const dated = { ...rejected, at: this.#wall() };
    this.#rejections.add(dated);
    this.listener?.rejection(dated);
  }

  /** What is counted of one source's narinfos. */
  narinfosOf({ id, origin }: Giver): NarinfoOfSource {
    const { bySource } = this.counts.narinfo;
    const found = bySource[id];
    if (found !== undefined) return found;
    const place = placeIn(bySource, id);
    const entry = bySource[place] ?? emptyNarinfoOfSource(origin);
    bySource[place] = entry;
    return entry;
  }

  /** What is counted of one source's NARs. */
  narsOf({ id, origin }: Giver): NarOfSource {
    const { bySource } = this.counts.nar;
    const found = bySource[id];
    if (found !== undefined) return found;
    const place = placeIn(bySource, id);
    const entry = bySource[place] ?? emptyNarOfSource(origin);
    bySource[place] = entry;
    return entry;
  }
}
