import type { CacheInfo } from '../../../../agent/nix/cache-info.ts';
import type { Narinfo } from '../../../../agent/nix/narinfo.ts';
import { type Fault, SourceError } from '../../../../agent/source/error.ts';
import type { NarAsking, Reach, Source, SourceBody } from '../../../../agent/source/source.ts';
import { delay } from '../../../../agent/telemetry/clock.ts';
import { storeDir } from './nar-sample.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What one opening of the file does. Bytes are counted from where the body begins. */
export interface Opening {
  /** Fails instead of giving a body. */
  readonly refuse?: Fault;
  /** With that, how long it wants to be left alone, in ms. */
  readonly retryAfter?: number;
  /** The connection is cut after so many bytes, … */
  readonly cutAfter?: number;
  /** … or nothing more comes after so many. */
  readonly silentAfter?: number;
  /** Gives these bytes instead of the file. */
  readonly file?: Buffer;
}

export interface Script {
  readonly id: string;
  readonly reach?: Reach;
  readonly configured?: boolean;
  /** The file that it has. */
  readonly file: Buffer;
  /** Others, by their URL. */
  readonly others?: ReadonlyMap<string, Buffer>;
  /** What the openings do, in turn; those after the last are honest. */
  readonly openings?: readonly Opening[];
  /** What every opening does beyond those. */
  readonly always?: Opening;
  /** How a request from byte N on is answered: with those bytes, the whole file, or another part. */
  readonly ranges?: 'honoured' | 'ignored' | 'wrong';
  /** Whether the answer tells the file's size. */
  readonly tellsSize?: boolean;
  /** Bytes that come at once, and the time between two such, in ms. */
  readonly chunk?: number;
  readonly pause?: number;
  /** How long it is waited for in the middle of a body, in ms. */
  readonly stalledTimeout?: number;
  /** Time until an answer begins, in ms. */
  readonly latency?: number;
  /** What it answers when asked for a narinfo; 'not here' when left out. */
  readonly narinfo?: Narinfo;
  /** Whether it answers at all, asked at each probe and opening. */
  readonly up?: () => boolean;
  /** Is gone for good once it has given so many bytes in all. */
  readonly diesAfter?: number;
  /** Whether something else answers in its place. */
  readonly captive?: () => boolean;
}

/** One opening as it went. */
export interface Opened {
  readonly at: number;
  readonly offset: number;
  /** The body began there. */
  readonly from: number;
  bytes: number;
}

const loginPage = Buffer.from('<!DOCTYPE html><title>Welcome</title>please log in');

/** A source that behaves as its script says, in virtual time, and counts. */
export class ScriptedSource implements Source {
  /** How often it was asked for a narinfo. */
  asked = 0;
  readonly id: string;
  readonly reach: Reach;
  readonly configured: boolean;
  readonly onThisMachine = false;
  readonly priority = undefined;
  readonly opened: Opened[] = [];
  probes = 0;
  /** When it last gave a byte, in virtual ms. */
  lastByteAt = Number.NaN;
  readonly #script: Script;
  readonly #time: VirtualTime;

  constructor(script: Script, time: VirtualTime) {
    this.id = script.id;
    this.reach = script.reach ?? 'upstream';
    this.configured = script.configured ?? true;
    this.#script = script;
    this.#time = time;
  }

  /** Bytes given in all. */
  get bytes(): number {
    return this.opened.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async narinfo(): Promise<Narinfo | undefined> {
    this.asked += 1;
    return this.#script.narinfo;
  }

  async openFile(): Promise<SourceBody | undefined> {
    return undefined;
  }

  async probe(signal: AbortSignal): Promise<CacheInfo> {
    this.probes += 1;
    await delay(this.#time, this.#script.latency ?? 1, signal);
    if (!this.#isUp) throw new SourceError('unreachable', `${this.id} is down`);
    if (this.#script.captive?.()) throw new SourceError('captive', `${this.id} wants a login`);
    return { storeDir, wantMassQuery: true };
  }

  async openNar(
    url: string,
    offset: number,
    signal: AbortSignal,
    { impatient = false }: NarAsking = {},
  ): Promise<SourceBody> {
    const {
      others,
      openings = [],
      always = {},
      ranges = 'honoured',
      tellsSize = true,
      latency = 1,
    } = this.#script;
    const opening = openings[this.opened.length] ?? always;
    const file = this.#script.captive?.()
      ? loginPage
      : (opening.file ?? others?.get(url) ?? this.#script.file);
    const from = ranges === 'honoured' && file !== loginPage ? offset : 0;
    const opened = { at: this.#time.now(), offset, from, bytes: 0 };
    this.opened.push(opened);
    await delay(this.#time, latency, signal);
    if (!this.#isUp) throw new SourceError('unreachable', `${this.id} is down`);
    const { refuse, retryAfter } = opening;
    if (refuse !== undefined)
      throw new SourceError(
        refuse,
        `${this.id} refuses ${url}`,
        retryAfter === undefined ? {} : { retryAfter },
      );
    if (offset > 0 && ranges === 'wrong') throw new SourceError('wrong', `${this.id} gave another range`);
    if (from > file.length) throw new SourceError('wrong', `${this.id}: behind the end`);
    return {
      offset: from,
      size: tellsSize ? file.length : undefined,
      type: undefined,
      chunks: this.#chunks(file.subarray(from), opening, opened, signal, impatient && from > 0),
    };
  }

  async dropConnections(): Promise<void> {}

  async close(): Promise<void> {}

  async *#chunks(
    bytes: Buffer,
    { cutAfter = Number.POSITIVE_INFINITY, silentAfter = Number.POSITIVE_INFINITY }: Opening,
    opened: Opened,
    signal: AbortSignal,
    impatient: boolean,
  ): AsyncGenerator<Uint8Array> {
    const { chunk: step = 4_096, pause = 0, stalledTimeout = 30_000 } = this.#script;
    const end = Math.min(bytes.length, cutAfter, silentAfter);
    const began = this.#time.now();
    for (let at = 0; at < end; at += step) {
      if (pause > 0) await delay(this.#time, pause, signal);
      signal.throwIfAborted();
      if (!this.#isUp) throw new SourceError('broken', `${this.id} went away`);
      this.#time.event();
      const part = bytes.subarray(at, Math.min(at + step, end));
      opened.bytes += part.length;
      this.lastByteAt = this.#time.now();
      yield part;
    }
    if (end === bytes.length) return;
    if (cutAfter <= silentAfter) throw new SourceError('broken', `${this.id} was cut`);
    const flowed = Math.max(stalledTimeout / 8, this.#time.now() - began);
    const patience = impatient ? Math.min(stalledTimeout, flowed) : stalledTimeout;
    await delay(this.#time, patience, signal);
    throw new SourceError(patience < stalledTimeout ? 'stalled' : 'silent', `${this.id} went silent`);
  }

  get #isUp(): boolean {
    const { up, diesAfter = Number.POSITIVE_INFINITY } = this.#script;
    return this.bytes < diesAfter && (up?.() ?? true);
  }
}
