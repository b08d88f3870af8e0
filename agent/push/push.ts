import { Digest } from '../cache/digest.ts';
import { inParallel } from '../cache/in-parallel.ts';
import { formatHash, narHashOf, sameHash } from '../nix/hash.ts';
import { printNarinfo } from '../nix/narinfo.ts';
import { printStorePath, type StorePath } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import { describe, isUnsigned, type Signing } from './describe.ts';
import { concernsOnePath, PushError } from './error.ts';
import type { LocalStore } from './local-store.ts';
import { type Packing, packed } from './packing.ts';
import type { PathInfo } from './path-info.ts';
import { Persistence } from './persistence.ts';
import type { Plan } from './plan.ts';
import type { Spool, SpoolFile } from './spool.ts';
import { uploadNar } from './upload-nar.ts';
import type { UploadServer } from './upload-server.ts';

export interface PushOptions {
  readonly store: LocalStore;
  readonly server: UploadServer;
  readonly spool: Spool;
  readonly packing: Packing;
  readonly signing: Signing;
  /** NARs at once. */
  readonly jobs: number;
  /** Lets bytes pass no faster than they may; all together when it is shared. */
  readonly pace: (bytes: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** What is told while it goes on. */
export interface PushEvents {
  /** So much of the path's NAR has crossed, from 0 to 1; it falls when bytes were lost. */
  reached(path: PathInfo, part: number): void;
  /** Bytes of packed NARs were handed to the network. */
  sent(bytes: number): void;
  /** The path is there; its packed NAR has so many bytes. */
  pushed(path: PathInfo, bytes: number): void;
  failed(path: PathInfo, why: string): void;
}

/**
 * Sends what the server lacks, so many NARs at a time, each path after all that it refers to: at no time does the server have a path
 * without what it needs. What concerns one path is told as an event, and fails what refers to it.
 * @throws PushError for what concerns all; the signal's reason when it is aborted
 */
export async function push({ missing }: Plan, options: PushOptions, events: PushEvents): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const run = new Run({ ...options, signal }, events, missing);
  const narinfos = new Set<Promise<void>>();
  let waiting = 0;
  await inParallel(options.jobs, missing, new AbortController().signal, async (info) => {
    if (signal.aborted) return;
    try {
      const file = await run.sendNar(info);
      // The next NAR need not wait for the narinfos of what this one refers to, unless too much waits already.
      const weight = Math.max(leastWeight, file?.size ?? 0);
      waiting += weight;
      const narinfo = run.sendNarinfo(info, file).catch((error: unknown) => over.abort(error));
      narinfos.add(narinfo);
      void narinfo.then(() => {
        waiting -= weight;
        narinfos.delete(narinfo);
      });
      if (waiting > mostWaiting) await narinfo;
    } catch (error) {
      over.abort(error);
    }
  });
  await Promise.all(narinfos);
  signal.throwIfAborted();
}

/** Spooled NARs, in bytes, that may wait for the narinfos of what they refer to; each counts as so many at least. */
const mostWaiting = 256 * 1024 * 1024;
const leastWeight = 1024 * 1024;
/** How often a NAR is sent again that the server has lost before its narinfo came. */
const timesLost = 3;

class Run {
  readonly #options: PushOptions;
  readonly #events: PushEvents;
  readonly #clock: Clock;
  /** By path, among those that are missing: whether it has come there. */
  readonly #outcomes: ReadonlyMap<string, PromiseWithResolvers<boolean>>;
  /** Paths with the same NAR send it once. */
  readonly #nars = new Map<string, Promise<SpoolFile>>();

  constructor(options: PushOptions, events: PushEvents, missing: readonly PathInfo[]) {
    this.#options = options;
    this.#events = events;
    this.#clock = options.clock ?? systemClock;
    this.#outcomes = new Map(missing.map(({ storePath }) => [storePath.base, Promise.withResolvers()]));
    const settle = () => {
      for (const { resolve } of this.#outcomes.values()) resolve(false);
    };
    options.signal.addEventListener('abort', settle, { once: true });
  }

  /** The file that the server has now; undefined when that failed. */
  async sendNar(info: PathInfo): Promise<SpoolFile | undefined> {
    return await this.#unlessItFails(info, async () => {
      if (isUnsigned(info, this.#options.signing)) throw unsigned(this.#name(info.storePath));
      const key = narHashOf(info.narHash);
      const sent = this.#nars.get(key) ?? this.#send(info);
      this.#nars.set(key, sent);
      return await sent;
    });
  }

  async sendNarinfo(info: PathInfo, file: SpoolFile | undefined): Promise<void> {
    const done =
      file !== undefined &&
      (await this.#unlessItFails(info, async () => {
        await this.#referencesOf(info);
        await this.#announce(info, file);
        return true;
      })) === true;
    // What the server refused is packed anew the next time, in case the file was damaged.
    await file?.remove();
    if (done) this.#events.pushed(info, file.size);
    this.#outcomes.get(info.storePath.base)?.resolve(done);
  }

  async #send(info: PathInfo): Promise<SpoolFile> {
    const { spool, packing } = this.#options;
    const file =
      (await spool.find(info.narHash, packing)) ??
      (await spool.make(info.narHash, packing, packed(packing, this.#nar(info))));
    try {
      await this.#upload(info, file);
      return file;
    } catch (error) {
      if (concernsOnePath(error)) await file.remove();
      throw error;
    }
  }

  async #upload(info: PathInfo, file: SpoolFile): Promise<void> {
    const { server, pace, signal } = this.#options;
    await uploadNar(server, file, {
      signal,
      pace,
      clock: this.#clock,
      sent: (bytes) => this.#events.sent(bytes),
      reached: (bytes) => this.#events.reached(info, bytes / file.size),
    });
  }

  async #announce(info: PathInfo, file: SpoolFile): Promise<void> {
    const { server, packing, signing, signal } = this.#options;
    const text = printNarinfo(describe(info, file, packing, signing), signing.storeDir);
    const name = `${info.storePath.hashPart}.narinfo`;
    for (let left = timesLost; ; left -= 1) {
      try {
        const persistence = new Persistence(this.#clock, signal);
        return await persistence.of(() => server.putNarinfo(name, text, signal));
      } catch (error) {
        if (!(error instanceof PushError) || error.fault !== 'order' || left === 0) throw error;
        // A server that was killed may have lost what it had not yet written down.
        await this.#upload(info, { ...file, found: true });
      }
    }
  }

  /** The NAR from the store; what its database says of it is compared before the last byte counts. */
  async *#nar({ storePath, narHash, narSize }: PathInfo): AsyncGenerator<Uint8Array> {
    const digest = new Digest();
    yield* digest.through(this.#options.store.dump(storePath, this.#options.signal));
    const hash = digest.hash();
    if (digest.size === narSize && sameHash(hash, narHash)) return;
    const [is, should] = [formatHash(hash, 'base32'), formatHash(narHash, 'base32')];
    throw new PushError(
      'corrupt',
      `${this.#name(storePath)} is damaged: its NAR has the hash ${is} and not ${should}; 'nix-store --verify-path' tells the same, 'nix-store --repair-path' may help.`,
    );
  }

  /** Resolves once all that the path refers to is there. */
  async #referencesOf({ storePath, references }: PathInfo): Promise<void> {
    for (const { base } of references) {
      if (base === storePath.base || (await this.#outcomes.get(base)?.promise) !== false) continue;
      this.#options.signal.throwIfAborted();
      throw new PushError('rejected', `it refers to ${base}, which was not pushed`);
    }
  }

  async #unlessItFails<T>(info: PathInfo, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!concernsOnePath(error)) throw error;
      this.#events.failed(info, error.message);
      return undefined;
    }
  }

  #name(path: StorePath): string {
    return printStorePath(path, this.#options.signing.storeDir);
  }
}

function unsigned(path: string): PushError {
  return new PushError('unsigned', `${path} has no signature: name a key to sign it with, --key-file FILE.`);
}
