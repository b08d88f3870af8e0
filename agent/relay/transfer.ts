import { CacheError } from '../cache/error.ts';
import type { NarCache } from '../cache/nar-cache.ts';
import { isDecodable } from '../nix/compression.ts';
import { decode } from '../nix/decode.ts';
import { FormatError } from '../nix/error.ts';
import type { SourcePool } from '../source/source-pool.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { Counters, Giver } from '../telemetry/counters.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Budget } from './budget.ts';
import { Choice } from './choice.ts';
import { leaveCircle } from './circle.ts';
import { type Copy, DiskCopy } from './disk-copy.ts';
import { NarCut, NarUnavailable } from './error.ts';
import { FileReading, type Progress, SwitchFile } from './file-reading.ts';
import { Givers } from './givers.ts';
import type { KnownPath } from './known-path.ts';
import type { TransferLimits } from './limits.ts';
import { type Mark, WrongNar } from './nar-check.ts';
import { Notice } from './notice.ts';
import { type Reader, Readers } from './readers.ts';
import { Release } from './release.ts';
import type { Standings } from './standings.ts';
import { type Begun, diskId, type Supply } from './supply.ts';
import { Window } from './window.ts';

export interface TransferOptions {
  readonly known: KnownPath;
  readonly pool: SourcePool;
  /** Finds further sources of the same NAR. */
  readonly widen: (known: KnownPath) => Promise<void>;
  readonly cache: NarCache | undefined;
  readonly standings: Standings;
  readonly counters: Counters;
  /** Memory that transfers share for NARs held back until they are verified. */
  readonly held: Budget;
  /** What an earlier transfer had given out when it was cut: the bytes now must begin the same. */
  readonly given: Mark | undefined;
  /** How long clients are held while no source is reachable, in ms. */
  readonly patience: number;
  /** This agent in `Via` headers. */
  readonly via: string;
  readonly limits: TransferLimits;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How a transfer ended. */
export type Ending =
  /** `spoilt`: clients had been given other bytes. */
  | { readonly kind: 'verified'; readonly spoilt: boolean }
  /** `given`: what clients may have of it. */
  | { readonly kind: 'left' | 'failed'; readonly given: Mark | undefined; readonly error: unknown };

/** What to read next, where that is decided already, and what there is that it may go on with. */
interface Next {
  readonly supply?: Supply;
  readonly begun?: Begun | undefined;
}

/** Agents whose requests for a NAR are told to its sources: as many as there are peers, … */
const maxAskers = 32;
/** … and no more characters of a header than any server takes. */
const longestVia = 2_048;

/**
 * The transfer of one NAR, by NarHash: bytes from many sources, checked once, read by any number of clients. A source that fails is
 * followed by the next at the byte where it stopped; when only another file of the NAR is left, it is decoded anew and must agree
 * with what the clients have. Bytes are written once, hashed once, decoded once.
 */
export class Transfer {
  readonly known: KnownPath;
  /** In ms since the epoch. */
  readonly startedAt = Date.now();
  /** Resolves when no more bytes will come. */
  readonly ended: Promise<Ending>;
  readonly #options: TransferOptions;
  readonly #givers: Givers;
  readonly #choice: Choice;
  readonly #disk: DiskCopy;
  readonly #release: Release;
  readonly #window = new Window();
  readonly #readers: Readers;
  readonly #moved = new Notice();
  readonly #abort = new AbortController();
  readonly #via = new Set<string>();
  #reading: FileReading | undefined;
  /** The one whose bytes were counted as lost. */
  #givenUp: FileReading | undefined;
  /** Nothing is given out yet, so that a failure does not show. */
  #holding = false;
  #cancelHold = () => {};
  /** Bytes of the shared memory that are ours. */
  #reserved = 0;
  /** How long clients that could read from the disk are waited for, in ms. */
  #clientPause: number;
  #givenOut = 0;
  #ending: Ending | undefined;
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;

  constructor(options: TransferOptions) {
    const { known, given, limits, clock, counters } = options;
    this.known = known;
    this.#options = options;
    this.#readers = new Readers(clock);
    this.#release = new Release(known.narinfo, given, limits.lastBytes);
    this.#disk = new DiskCopy({
      ...options,
      moved: () => this.moved(),
      complete: () => this.#ending !== undefined || this.released === this.size,
    });
    this.#givers = new Givers(counters);
    this.#choice = new Choice({
      ...options,
      givers: this.#givers,
      hasRoom: () => this.#disk.takes || this.#reserve(limits.holdInMemoryUpTo),
      mayWait: () => this.#hasBegun,
      signal: this.#abort.signal,
    });
    this.#clientPause = limits.clientPause;
    this.ended = this.#run().then((ending) => this.#end(ending));
  }

  /** NarSize. */
  get size(): number {
    return this.known.narinfo.narSize;
  }

  get progress(): Progress {
    const none = { received: 0, total: undefined, rate: 0, source: undefined };
    return this.#reading?.progress ?? none;
  }

  /** Who gave what came so far. */
  get giver(): Giver {
    return this.#givers.main;
  }

  /** Whether what comes stays here, on the disk or in memory. */
  get keeps(): boolean {
    return this.#disk.takes || this.#reserved > 0;
  }

  /** How many clients read it now. */
  get clients(): number {
    return this.#readers.count;
  }

  /** Position up to which clients may have the bytes. */
  get released(): number {
    return this.#release.upTo;
  }

  /** The same for the bytes of `copy`. */
  get releasedAnew(): number {
    return this.#release.upToAnew;
  }

  /** Where a client that falls behind reads from; undefined when there is no such place, or not yet. */
  get copy(): Copy | undefined {
    return this.#disk.copy;
  }

  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Resolves when it has ended and no client reads from it any more: its partial file is free. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Whether a client can get the bytes from a position on, now or later. */
  serves(at: number): boolean {
    if (this.#isOver || this.#abort.signal.aborted) return false;
    return at >= this.#window.start || this.#disk.readable;
  }

  /** Another agent waits for it, whose request came by these: no source may wait for them (I10). */
  isFor(via: string): void {
    // Others are waited for all the same; sources are just not told of them.
    const isOneTooMany = this.#via.size >= maxAskers || [...this.#via, via].join(', ').length > longestVia;
    if (this.#via.has(via) || isOneTooMany) return;
    this.#via.add(via);
    const { clock, log, via: own } = this.#options;
    const ours = { reading: this.#reading, choice: this.#choice, own, clock, signal: this.#abort.signal };
    leaveCircle(via, ours).catch((err) => log.debug({ err, via }, 'no circle was found'));
  }

  /** Adds a client; the result removes it. When the last one leaves, the transfer goes on only if that is worth it. */
  join(reader: Reader): () => void {
    this.#readers.add(reader);
    if (this.#ending?.kind === 'verified' && this.#ending.spoilt) reader.spoilt = reader.at > 0;
    return () => {
      this.#readers.remove(reader);
      if (!this.#readers.none) return;
      if (this.#ending !== undefined) void this.#letGo();
      else if (!this.#isWorthEnding) this.#quit('all clients left');
    };
  }

  /** Ends the transfer now. Resolves when its partial file is left in order. */
  async stop(): Promise<void> {
    this.#quit('narrowcast is stopping');
    await this.ended;
    await this.#letGo();
  }

  /** Bytes at a position, as far as they are in memory and may be given out. */
  read(at: number): Uint8Array | undefined {
    return this.#window.read(at, this.released);
  }

  /** Resolves when there may be more to read, or the transfer has ended. */
  moved(): Promise<void> {
    return this.#moved.next();
  }

  /** A client has taken bytes. */
  took(): void {
    this.#readers.took();
  }

  async #run(): Promise<Ending> {
    try {
      const { pool, standings } = this.#options;
      const begun = await this.#disk.open((sourceId) => standings.trusts(pool.get(sourceId)));
      this.#holdIfSmall();
      for (let next: Next | undefined = { begun }; next !== undefined; ) {
        const supply: Supply = next.supply ?? (await this.#choice.next(next.begun));
        next = await this.#readFrom(supply, next.begun);
      }
      return { kind: 'verified', spoilt: this.#release.disputed };
    } catch (error) {
      const left = this.#abort.signal.aborted;
      if (!left && !(error instanceof NarUnavailable))
        this.#options.log.error({ err: error }, 'transfer failed');
      return { kind: left ? 'left' : 'failed', given: this.#release.given, error };
    }
  }

  async #end(ending: Ending): Promise<Ending> {
    this.#cancelHold();
    if (ending.kind !== 'verified' && !this.#disk.takes && this.#reading !== this.#givenUp)
      this.#lost(this.#reading?.begun);
    this.#givers.end();
    this.#ending = ending;
    this.#moved.give();
    if (ending.kind !== 'verified' || this.#readers.none) await this.#letGo();
    return ending;
  }

  /** Gives back what it has of the disk and of the shared memory. */
  async #letGo(): Promise<void> {
    this.#isOver = true;
    this.#options.held.give(this.#reserved);
    this.#reserved = 0;
    await this.#disk.release();
    this.#over.resolve();
  }

  #quit(why: string): void {
    this.#abort.abort(new NarCut(this.known.narinfo.storePath.base, why));
    this.#readers.close();
  }

  /** One try: a file from its first byte to its last. Undefined when the NAR is verified, else what to do next. */
  async #readFrom(supply: Supply, begun: Begun | undefined): Promise<Next | undefined> {
    const { clock, limits } = this.#options;
    const { compression } = supply.file;
    if (!isDecodable(compression))
      throw new FormatError('undecodable', `${compression} is passed through, not decoded`);
    const continues = begun !== undefined && this.#choice.continues(supply, begun);
    if (!continues) this.#lost(begun);
    if (!continues) this.#choice.begins(supply, begun !== undefined && begun.bytes > 0);
    this.#release.begin();
    this.#window.cut(this.released);
    const reading = new FileReading({
      supply,
      partial: await this.#disk.begin(supply, continues),
      partialTrusted: !continues || begun.trusted,
      choice: this.#choice,
      givers: this.#givers,
      narinfo: this.known.narinfo,
      refused: () => this.#disk.refused(),
      progress: limits.progress,
      via: () => (this.#via.size === 0 ? undefined : [...this.#via].join(', ')),
      clock,
      signal: this.#abort.signal,
    });
    this.#reading = reading;
    try {
      for await (const chunk of decode(compression, reading.bytes())) await this.#accept(chunk, reading);
      this.#release.finish();
    } catch (error) {
      return await this.#failed(error, reading);
    }
    await this.#verified(reading);
    return undefined;
  }

  async #accept(chunk: Uint8Array, reading: FileReading): Promise<void> {
    try {
      await this.#pass(chunk, reading);
    } catch (error) {
      reading.leave();
      throw error;
    }
  }

  async #pass(chunk: Uint8Array, reading: FileReading): Promise<void> {
    const { disputed } = this.#release;
    this.#release.accept(chunk);
    if (this.#release.disputed && !disputed) this.#dispute();
    const fresh = this.#release.position - this.#window.end;
    if (fresh > 0) this.#window.push(chunk.subarray(Math.max(0, chunk.length - fresh)));
    this.#giveOut(reading);
    await this.#makeRoom(chunk.length, reading);
  }

  /** Lets clients have what they may. */
  #giveOut(reading: FileReading | undefined): void {
    if (!this.#holding && reading?.trusted) this.#release.advance();
    if (this.releasedAnew > this.#givenOut) this.#moved.give();
    this.#givenOut = this.releasedAnew;
  }

  /** These bytes are not those that clients have had. One of the two is wrong; nobody gets more before the end says which. */
  #dispute(): void {
    this.#options.log.warn({ path: this.known.narinfo.storePath.base }, 'two sources disagree about a NAR');
    this.#window.reset(this.#release.given?.position ?? 0);
  }

  async #verified(reading: FileReading): Promise<void> {
    const { supplies, earlier } = reading.origin;
    if (supplies.length === 1 && !earlier) supplies[0]?.proved();
    if (this.#release.disputed) this.#readers.spoil();
    this.#moved.give();
    await this.#disk.commit(reading.digest());
  }

  async #failed(error: unknown, reading: FileReading): Promise<Next> {
    if (this.#abort.signal.aborted) throw error;
    if (error instanceof SwitchFile) return { supply: error.supply, begun: reading.begun };
    if (error instanceof NoRoom) {
      this.#lost(reading.begun);
      this.#givenUp = reading;
      return {};
    }
    const wrong = error instanceof WrongNar || error instanceof FormatError;
    const unreadable = error instanceof CacheError;
    if (wrong) await this.#choice.wrong(reading.origin, error);
    else if (!unreadable) throw error;
    this.#reading = undefined;
    this.#lost(reading.begun);
    await this.#disk.discard({ forGood: unreadable });
    return {};
  }

  /** What there was of a file is given up. */
  #lost(begun: Begun | undefined): void {
    if (begun !== undefined && begun.file.sourceId !== diskId) this.#givers.lost(begun.bytes);
  }

  #holdIfSmall(): void {
    const { limits, clock } = this.#options;
    this.#holding = this.size <= limits.holdUpTo && (this.#reserve(limits.holdUpTo) || this.#disk.takes);
    if (!this.#holding) return;
    this.#cancelHold = clock.after(limits.holdFor, () => this.#holdNoMore());
  }

  /** Whether the whole NAR has its place in memory, which it gets only up to a size. */
  #reserve(upTo: number): boolean {
    if (this.#reserved === 0 && this.size <= upTo && this.#options.held.take(this.size))
      this.#reserved = this.size;
    return this.#reserved > 0;
  }

  #holdNoMore(): void {
    this.#holding = false;
    this.#giveOut(this.#reading);
  }

  /** Keeps memory bounded: waits a little for the clients that read from memory, and then lets them read from the disk. */
  async #makeRoom(added: number, reading: FileReading): Promise<void> {
    if (this.#reserved > 0) return;
    const { window, clientPause } = this.#options.limits;
    const { readable } = this.#disk;
    const keepFrom = readable ? this.#window.end - window : this.#keepInMemoryFrom(reading);
    const { start } = this.#window;
    this.#clientPause = Math.min(clientPause, this.#clientPause + (clientPause * added) / window);
    this.#clientPause -= await this.#readers.allAt(keepFrom, start, this.released, this.#clientPause);
    // While bytes are compared nobody gets any: to wait would be for ever.
    const moves = !this.#release.comparing;
    if (!readable && moves) await this.#readers.foremostAt(keepFrom, start, this.released);
    this.#abort.signal.throwIfAborted();
    this.#window.dropBefore(keepFrom);
  }

  /** Without a disk, what nobody may have yet has to stay in memory. */
  #keepInMemoryFrom(reading: FileReading): number {
    const { window, holdInMemoryUpTo } = this.#options.limits;
    // A client that comes back after a cut waits for what it has not had yet.
    if (this.#release.comparing) return this.#window.end - holdInMemoryUpTo;
    const held = this.#holding || !reading.trusted;
    if (held && this.#window.end - this.#window.start > window && !this.#reserve(holdInMemoryUpTo)) {
      if (!reading.trusted) throw new NoRoom();
      this.#holdNoMore();
    }
    return Math.min(this.#window.end - window, this.released);
  }

  /** Clients have had bytes, or there are some for them. */
  get #hasBegun(): boolean {
    const read = this.#reading?.begun.bytes ?? 0;
    return read > 0 || this.#release.given !== undefined || this.#readers.anyBegun;
  }

  get #isWorthEnding(): boolean {
    const { supplies } = this.#reading?.origin ?? { supplies: [] };
    if (!this.#disk.takes || supplies.length === 0) return false;
    return supplies.every(({ near }) => near) || this.#release.position > this.size / 2;
  }
}

/** There is no place for what must be verified before anyone may have it. */
class NoRoom extends Error {}
