import { CacheError } from '../cache/error.ts';
import type { NarCache, PartialNar } from '../cache/nar-cache.ts';
import { isDecodable } from '../nix/compression.ts';
import { decode } from '../nix/decode.ts';
import { FormatError } from '../nix/error.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, delay } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Budget } from './budget.ts';
import { NarCut, NarUnavailable } from './error.ts';
import { type FailedSupply, FileReading, type FileReadingOptions } from './file-reading.ts';
import type { KnownPath } from './known-path.ts';
import { NarCheck, WrongNar } from './nar-check.ts';
import { Notice } from './notice.ts';
import { type NarFile, type Supply, suppliesOf } from './supply.ts';
import { Window } from './window.ts';

export interface TransferOptions {
  readonly known: KnownPath;
  readonly pool: SourcePool;
  /** Finds further sources of the same NAR. */
  readonly widen: (known: KnownPath) => Promise<void>;
  readonly cache: NarCache | undefined;
  /** Memory that transfers share for NARs held back until they are verified. */
  readonly held: Budget;
  /** What an earlier transfer had given out when it was cut: the bytes now must begin the same. */
  readonly given: NarCheck | undefined;
  /** How long clients are held while no source is reachable, in ms. */
  readonly patience: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How a transfer ended. `given` is what clients have had of a NAR that was not verified. */
export type Ending =
  | { readonly kind: 'verified'; readonly prefixWasWrong: boolean }
  | {
      readonly kind: 'left' | 'failed';
      readonly given: NarCheck | undefined;
      /** Clients have had bytes of a NAR that turned out wrong. */
      readonly spoilt: boolean;
      readonly error: unknown;
    };

/** A place in the transfer where a client reads. */
export interface Position {
  at: number;
}

const windowSize = 2 * 1024 * 1024;
/** The end that no client gets before the whole is verified, in bytes. */
const lastBytes = 64 * 1024;
/** A NAR up to this size is held back as a whole until it is verified, so that no source's failure ever shows. */
const holdUpTo = 4 * 1024 * 1024;
/** … and one of a source that must be verified first, when there is no disk to put it, up to this. */
const holdInMemoryUpTo = 16 * 1024 * 1024;
/** On a link so slow that holding back would look like silence, in ms, a configured source's bytes go out as they come. */
const holdFor = 20_000;
/** A reader that takes nothing for this long, in ms, is not waited for when its bytes are on disk. */
const readerPause = 250;
const maxStrikes = 3;

/**
 * The transfer of one NAR, by NarHash: bytes from many sources, checked once, read by any number of clients. A source that fails is
 * followed by the next at the byte where it stopped; when only another representation is left, it is decoded anew and must
 * agree with what the clients have. Bytes are written once, hashed once, decoded once.
 */
export class Transfer {
  readonly known: KnownPath;
  /** Resolves when no more bytes will come. */
  readonly ended: Promise<Ending>;
  readonly #options: TransferOptions;
  readonly #clock: Clock;
  readonly #window = new Window();
  readonly #moved = new Notice();
  readonly #taken = new Notice();
  readonly #readers = new Set<Position>();
  readonly #abort = new AbortController();
  readonly #excluded = new Set<string>();
  readonly #strikes = new Map<string, number>();
  readonly #holdsAll: boolean;
  #supplies: Supply[] | undefined;
  #widened = false;
  #partial: PartialNar | undefined;
  #check: NarCheck;
  #given: NarCheck | undefined;
  /** What clients had of an earlier transfer is the beginning of this one. */
  #confirmed = false;
  #prefixWasWrong = false;
  #spoilt = false;
  #holding: boolean;
  #released = 0;
  #ending: Ending | undefined;
  #reading: FileReading | undefined;
  #cancelHold: () => void = () => {};

  constructor(options: TransferOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.known = options.known;
    this.#given = options.given;
    this.#check = new NarCheck(this.known.narinfo);
    const { narSize } = this.known.narinfo;
    this.#holdsAll = narSize <= holdUpTo && options.held.take(narSize);
    this.#holding = this.#holdsAll;
    if (this.#holding) this.#cancelHold = this.#clock.after(holdFor, () => this.#hold(false));
    this.ended = this.#run().then((ending) => this.#settle(ending));
  }

  /** NarSize. */
  get size(): number {
    return this.known.narinfo.narSize;
  }

  /** Position up to which clients may have the bytes. */
  get released(): number {
    return this.#released;
  }

  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Adds a client; the result removes it. When the last one leaves, the transfer goes on only if that is worth it. */
  join(reader: Position): () => void {
    this.#readers.add(reader);
    return () => {
      this.#readers.delete(reader);
      this.#taken.give();
      if (this.#readers.size > 0) return;
      if (this.#ending !== undefined) void this.#partial?.release();
      else if (!this.#worthEnding())
        this.#abort.abort(new NarCut(this.known.narinfo.storePath.base, 'all readers left'));
    };
  }

  /** Ends the transfer now. Resolves when its partial file is left in order. */
  async stop(): Promise<void> {
    this.#abort.abort(new NarCut(this.known.narinfo.storePath.base, 'narrowcast is stopping'));
    await this.ended;
    await this.#partial?.release();
  }

  /** Bytes at a position, as far as they are in memory and may be given out. */
  read(at: number): Uint8Array | undefined {
    return this.#window.read(at, this.#released);
  }

  /** The NAR decoded anew from the disk, from its beginning: for a client that fell behind. Undefined when it is not on disk. */
  fromDisk(): AsyncIterable<Uint8Array> | undefined {
    const compression = this.#reading?.file.compression;
    const stored = this.#stored;
    if (stored !== undefined && isDecodable(stored.file.compression)) {
      return decode(stored.file.compression, this.#followStored(stored));
    }
    if (this.#partial === undefined || compression === undefined || !isDecodable(compression))
      return undefined;
    return decode(compression, this.#followPartial(this.#partial));
  }

  /** Resolves when there may be more to read, or the transfer has ended. */
  moved(): Promise<void> {
    return this.#moved.next();
  }

  /** A client has taken bytes. */
  taken(): void {
    this.#taken.give();
  }

  async #run(): Promise<Ending> {
    try {
      if (!this.known.stored) await this.#openPartial();
      for (;;) {
        const supply = await this.#choose();
        if (await this.#pull(supply)) return { kind: 'verified', prefixWasWrong: this.#prefixWasWrong };
      }
    } catch (error) {
      const kind = this.#abort.signal.aborted ? 'left' : 'failed';
      if (kind === 'failed' && !(error instanceof NarUnavailable))
        this.#options.log.error({ err: error }, 'transfer failed');
      return {
        kind,
        given: this.#released > 0 ? (this.#given ?? this.#check) : this.#given,
        spoilt: this.#spoilt,
        error,
      };
    }
  }

  #settle(ending: Ending): Ending {
    this.#cancelHold();
    this.#ending = ending;
    if (ending.kind === 'verified') this.#released = this.size;
    this.#moved.give();
    this.#taken.give();
    if (this.#holdsAll) this.#options.held.give(this.size);
    if (this.#readers.size === 0) void this.#partial?.release();
    return ending;
  }

  /** One try: a file from its first byte to its last. True when the NAR is verified; false when the next supply should be tried. */
  async #pull(first: Supply): Promise<boolean> {
    const { known, clock } = this.#options;
    const file = first.file;
    if (!isDecodable(file.compression))
      throw new FormatError('undecodable', `${file.compression} is passed through, not decoded`);
    await this.#begin(first);
    const reading = new FileReading({
      file,
      exactSize: file.compression === 'none' ? this.size : undefined,
      partial: first.stored ? undefined : this.#partial,
      next: this.#supplier(first),
      refused: () => void this.#dropPartial(),
      clock,
      signal: this.#abort.signal,
    });
    this.#reading = reading;
    try {
      for await (const chunk of decode(file.compression, reading.bytes())) await this.#accept(chunk, reading);
      this.#check.finish();
    } catch (error) {
      if (this.#abort.signal.aborted) throw error;
      if (error instanceof WrongNar || error instanceof FormatError) await this.#blame(reading, error);
      else if (error instanceof CacheError) await this.#dropPartial();
      else if (!(error instanceof SwitchFile)) throw error;
      return false;
    }
    this.#released = this.size;
    this.#moved.give();
    if (!first.stored) await this.#store(known, reading);
    return true;
  }

  /** Gets ready for a file's first byte: what clients have already must come again, the rest is forgotten. */
  async #begin(supply: Supply): Promise<void> {
    if (this.#released > 0 || this.#confirmed) this.#given ??= this.#check;
    else this.#window.reset(0);
    this.#check = new NarCheck(this.known.narinfo);
    if (supply.stored || this.#partial === undefined || sameFile(this.#partial, supply.file)) return;
    const { sourceId, url, compression, fileHash, fileSize } = supply.file;
    const meta = {
      sourceId,
      url,
      compression,
      ...(fileHash && { fileHash }),
      ...(fileSize !== undefined && { fileSize }),
    };
    if (!(await this.#partial.begin(meta))) await this.#dropPartial();
  }

  async #openPartial(): Promise<void> {
    this.#partial ??= await this.#options.cache?.partial(this.known.narHash);
  }

  async #dropPartial(): Promise<void> {
    const partial = this.#partial;
    this.#partial = undefined;
    await partial?.discard();
  }

  async #accept(chunk: Uint8Array, reading: FileReading): Promise<void> {
    const given = this.#given;
    const start = this.#check.position;
    const untilGiven = given === undefined ? 0 : given.position - start;
    if (given !== undefined && chunk.length >= untilGiven) {
      this.#check.update(chunk.subarray(0, untilGiven));
      if (this.#check.agreesWith(given)) this.#confirmed = true;
      else this.#contradict();
      this.#given = undefined;
      this.#check.update(chunk.subarray(untilGiven));
    } else {
      this.#check.update(chunk);
    }
    const fresh = this.#check.position - this.#window.end;
    if (fresh <= 0) return;
    this.#window.push(chunk.subarray(Math.max(0, chunk.length - fresh)));
    this.#release(reading);
    await this.#makeRoom();
  }

  /** These bytes are not those that clients have had. One of the two is wrong; nobody gets more before the end says which. */
  #contradict(): void {
    this.#prefixWasWrong = true;
    this.#options.log.warn({ path: this.known.narinfo.storePath.base }, 'two sources disagree about a NAR');
    this.#window.reset(this.#check.position);
    this.#hold(true);
    this.#moved.give();
  }

  /** Whether clients that have had bytes of this NAR must be cut, because another source says they are wrong. */
  get contradicted(): boolean {
    return this.#prefixWasWrong;
  }

  #hold(holding: boolean): void {
    this.#holding = holding || this.#prefixWasWrong;
    if (this.#reading !== undefined) this.#release(this.#reading);
  }

  #release(reading: FileReading): void {
    if (this.#holding || this.#given !== undefined) return;
    for (const supply of reading.contributors.values()) if (!supply.streams) return;
    const released = this.#window.end - lastBytes;
    if (released <= this.#released) return;
    this.#released = released;
    this.#moved.give();
  }

  /** Keeps memory bounded: waits for the quickest client that reads from memory, or lets it read from the disk. */
  async #makeRoom(): Promise<void> {
    if (this.#holdsAll && this.#window.start === 0) return;
    const mayHold = this.#partial === undefined && this.size <= holdInMemoryUpTo;
    if (mayHold && this.#released === 0) return;
    for (;;) {
      const keepFrom = this.#window.end - windowSize;
      const quickest = this.#quickest();
      if (quickest === undefined || quickest >= keepFrom) {
        this.#window.dropBefore(keepFrom);
        return;
      }
      const waited = this.#onDisk
        ? await this.#takenWithin(readerPause)
        : await this.#taken.next().then(() => true);
      this.#abort.signal.throwIfAborted();
      if (!waited) {
        this.#window.dropBefore(keepFrom);
        return;
      }
    }
  }

  get #onDisk(): boolean {
    return this.#partial !== undefined || this.#stored !== undefined;
  }

  get #stored(): Supply | undefined {
    return this.#supplies?.find((supply) => supply.stored && !this.#excluded.has(supply.id));
  }

  /** The foremost position of a client that reads from memory and could go on. */
  #quickest(): number | undefined {
    let quickest: number | undefined;
    for (const { at } of this.#readers) {
      if (at < this.#window.start || at >= this.#released) continue;
      if (quickest === undefined || at > quickest) quickest = at;
    }
    return quickest;
  }

  async #takenWithin(ms: number): Promise<boolean> {
    const late = Promise.withResolvers<boolean>();
    const cancel = this.#clock.after(ms, () => late.resolve(false));
    const taken = await Promise.race([this.#taken.next().then(() => true), late.promise]);
    cancel();
    return taken;
  }

  #worthEnding(): boolean {
    if (this.#partial === undefined) return false;
    const near = [...(this.#reading?.contributors.values() ?? [])].every((supply) => supply.near);
    return near || this.#check.position > this.size / 2;
  }

  /** Every supply that gave bytes of a wrong file is out, and the file with it. */
  async #blame(reading: FileReading, error: Error): Promise<void> {
    const { storePath } = this.known.narinfo;
    this.#spoilt ||= this.#released > 0;
    for (const supply of reading.contributors.values()) {
      this.#excluded.add(supply.id);
      this.#options.log.warn(
        { err: error, source: supply.id, path: storePath.base },
        'source gave a wrong NAR',
      );
      await supply.withdraw(error.message);
    }
    await this.#dropPartial();
    await this.#openPartial();
  }

  async #store(known: KnownPath, reading: FileReading): Promise<void> {
    if (this.#partial === undefined) return;
    const narinfo = known.narinfo;
    const file =
      reading.file.compression === 'none' ? { hash: narinfo.narHash, size: this.size } : reading.digest();
    if (await this.#partial.commit(narinfo, file)) known.stored = true;
  }

  /** For FileReading: the next supply of the same file, unless a better file is there by now. */
  #supplier(first: Supply): FileReadingOptions['next'] {
    let use: Supply | undefined = first;
    return async (failed) => {
      if (failed !== undefined) await this.#failed(failed);
      const supply = use ?? (await this.#choose(first.file));
      use = undefined;
      if (supply.file.key !== first.file.key) throw new SwitchFile();
      return supply;
    };
  }

  async #failed({ supply, error, progress }: FailedSupply): Promise<void> {
    this.#options.log.info(
      { source: supply.id, path: this.known.narinfo.storePath.base, why: error.message },
      'transfer interrupted',
    );
    supply.stopped(error);
    if (error.fault === 'gone' || error.fault === 'wrong' || error.fault === 'captive') {
      this.#excluded.add(supply.id);
      await supply.withdraw(error.message);
      return;
    }
    const strikes = progress ? 1 : (this.#strikes.get(supply.id) ?? 0) + 1;
    this.#strikes.set(supply.id, strikes);
    if (strikes >= maxStrikes) this.#excluded.add(supply.id);
    else await delay(this.#clock, 50 * 2 ** strikes, this.#abort.signal);
  }

  /** The best supply now; waits for one while clients are in mid-stream. */
  async #choose(current?: NarFile): Promise<Supply> {
    for (const deadline = this.#clock.now() + this.#options.patience; ; ) {
      this.#abort.signal.throwIfAborted();
      this.#supplies ??= await suppliesOf(this.known, this.#options.cache, this.#clock);
      const left = this.#supplies.filter(
        (supply) => !this.#excluded.has(supply.id) && isDecodable(supply.file.compression),
      );
      const best = this.#best(left, current);
      if (best !== undefined) return best;
      if (!this.#widened) {
        this.#widened = true;
        await this.#options.widen(this.known);
        this.#supplies = undefined;
        continue;
      }
      const wait = deadline - this.#clock.now();
      const begun = this.#released > 0 || this.#check.position > 0 || this.#given !== undefined;
      if (left.length === 0 || wait <= 0 || !begun)
        throw new NarUnavailable(this.known.narinfo.storePath.base);
      await this.#poolChanged(wait);
      this.#supplies = undefined;
      this.#widened = false;
    }
  }

  #best(left: readonly Supply[], current: NarFile | undefined): Supply | undefined {
    const usable = left.filter((supply) => supply.usable && this.#mayUse(supply));
    const near = usable.filter((supply) => supply.near);
    const midStream = this.#released > 0 ? usable.filter((supply) => supply.streams) : [];
    for (const group of [midStream.filter((supply) => supply.near), near, midStream, usable]) {
      const same =
        group.find((supply) => supply.file.key === current?.key) ??
        group.find((supply) => this.#partial !== undefined && sameFile(this.#partial, supply.file));
      if (same ?? group[0]) return same ?? group[0];
    }
    return undefined;
  }

  /** What must be verified first needs a place to lie until then. */
  #mayUse(supply: Supply): boolean {
    return supply.streams || this.#partial !== undefined || this.size <= holdInMemoryUpTo;
  }

  async #poolChanged(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(ms, resolve);
    this.#options.pool.once('changed', resolve);
    this.#abort.signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    cancel();
    this.#options.pool.off('changed', resolve);
  }

  async *#followPartial(partial: PartialNar): AsyncGenerator<Uint8Array> {
    for (let at = 0; ; ) {
      const ended = this.#ending !== undefined || this.#released === this.size;
      const moved = this.moved();
      for await (const chunk of partial.read(at)) {
        at += chunk.length;
        yield chunk;
      }
      if (ended) return;
      await moved;
    }
  }

  async *#followStored(supply: Supply): AsyncGenerator<Uint8Array> {
    yield* (await supply.open(0, this.#abort.signal)).chunks;
  }
}

/** Another file of the same NAR is the better choice now. */
class SwitchFile extends Error {}

function sameFile({ meta, length }: PartialNar, file: NarFile): boolean {
  if (meta === undefined || length === 0 || meta.compression !== file.compression) return false;
  if (meta.fileHash !== undefined && file.fileHash !== undefined)
    return Buffer.from(meta.fileHash.digest).equals(file.fileHash.digest);
  return meta.sourceId === file.sourceId && meta.url === file.url;
}
