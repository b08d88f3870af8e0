import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { DiskCache } from '../../../../agent/cache/disk-cache.ts';
import { type Files, realFiles } from '../../../../agent/cache/files.ts';
import type { NarCache } from '../../../../agent/cache/nar-cache.ts';
import type { Narinfo } from '../../../../agent/nix/narinfo.ts';
import { NarCut, NarUnavailable } from '../../../../agent/relay/error.ts';
import { KnownPath } from '../../../../agent/relay/known-path.ts';
import type { TransferLimits } from '../../../../agent/relay/limits.ts';
import { Transfers } from '../../../../agent/relay/transfers.ts';
import { SourcePool } from '../../../../agent/source/source-pool.ts';
import { type Clock, systemClock } from '../../../../agent/telemetry/clock.ts';
import { fastDirectory } from '../../cache/support/temporary.ts';
import { type NarSample, type Representation, storeDir } from './nar-sample.ts';
import { type Script, ScriptedSource } from './scripted-source.ts';
import { VirtualTime } from './virtual-time.ts';

/** The agent's limits, 64 times smaller, so that small NARs show what large ones do. Times are as they are. */
export const smallLimits: TransferLimits = {
  window: 32 * 1024,
  lastBytes: 1024,
  holdUpTo: 64 * 1024,
  holdFor: 20_000,
  holdInMemoryUpTo: 256 * 1024,
  heldInMemory: 512 * 1024,
  clientPause: 250,
  verifyFirst: 60_000,
  crawl: 256,
  progress: 256,
};

/** The agent in `Via` headers. */
const ownVia = '1.1 narrowcast-m';

export interface WorldOptions {
  readonly sample: NarSample;
  readonly limits?: TransferLimits;
  /** Nothing is stored when left out. */
  readonly cache?: NarCache;
  /** The NAR is in the cache. */
  readonly stored?: boolean;
  readonly patience?: number;
  readonly time?: VirtualTime;
}

/** What a client got from one request. */
export interface Got {
  readonly how: 'complete' | 'cut' | 'unavailable' | 'left';
  readonly bytes: Buffer;
  /** When the first byte and the last came, in virtual ms. */
  readonly first: number;
  readonly last: number;
  readonly error?: unknown;
}

export interface Reading {
  /** Another path than the world's own. */
  readonly known?: KnownPath;
  readonly from?: number;
  /** Virtual ms before each chunk is taken. */
  readonly pause?: number;
  /** Leaves after so many bytes. */
  readonly until?: number;
  /** The `Via` header that the request came with. */
  readonly via?: string;
  /** Sees each chunk as it comes. */
  readonly seen?: (chunk: Uint8Array, total: number) => void;
}

/** One NAR, the sources that say they have it, and the transfers that get it for clients. */
export class World {
  readonly time: VirtualTime;
  readonly pool: SourcePool;
  readonly transfers: Transfers;
  readonly known: KnownPath;
  readonly sources = new Map<string, ScriptedSource>();
  /** Offers that are found only when a transfer asks for more. */
  readonly hidden: (() => void)[] = [];
  online = true;
  readonly sample: NarSample;

  constructor({ sample, limits = smallLimits, cache, stored = false, patience, time }: WorldOptions) {
    this.sample = sample;
    this.time = time ?? new VirtualTime();
    const log = pino({ level: 'silent' });
    this.pool = new SourcePool({ storeDir, log, clock: this.time, online: () => this.online });
    this.known = new KnownPath(
      { narinfo: sample.narinfo('xz'), by: 'test-1' },
      0,
      stored ? sample.narinfo('xz') : undefined,
    );
    this.transfers = new Transfers({
      pool: this.pool,
      cache,
      log,
      limits,
      patience: patience ?? 120_000,
      via: ownVia,
      clock: this.time,
      widen: async () => {
        for (const offer of this.hidden.splice(0)) offer();
      },
    });
  }

  /** Adds a source that offers the NAR as that representation; the narinfo is as it says with `edit`. */
  add(
    script: Omit<Script, 'file'> & { readonly file?: Buffer },
    representation: Representation,
    edit: Partial<Narinfo> & { readonly hidden?: boolean; readonly nameless?: boolean } = {},
  ): ScriptedSource {
    const { hidden = false, nameless = false, ...fields } = edit;
    const source = new ScriptedSource({ file: this.sample.files[representation], ...script }, this.time);
    const { fileHash, ...rest } = this.sample.narinfo(representation);
    const narinfo = { ...rest, ...(!nameless && fileHash && { fileHash }), ...fields };
    this.sources.set(script.id, source);
    const monitored = this.pool.add(source);
    const offer = () => void this.known.offer({ source: monitored, narinfo }, this.time.now());
    if (hidden) this.hidden.push(offer);
    else offer();
    return source;
  }

  /** Another path, and a source that has it and nothing else. */
  alike(
    sample: NarSample,
    script: Omit<Script, 'file'>,
  ): { readonly known: KnownPath; readonly source: ScriptedSource } {
    const narinfo = sample.narinfo('none');
    const source = new ScriptedSource({ file: sample.nar, ...script }, this.time);
    const known = new KnownPath({ narinfo, by: 'test-1' }, 0);
    known.offer({ source: this.pool.add(source), narinfo }, this.time.now());
    return { known, source };
  }

  /** One client's request, to its end. */
  async get(how: Reading = {}): Promise<Got> {
    const { known = this.known, from = 0, pause = 0, until = Number.POSITIVE_INFINITY, seen, via } = how;
    const gone = new AbortController();
    const chunks: Uint8Array[] = [];
    let total = 0;
    let first = Number.NaN;
    const got = (how: Got['how'], error?: unknown): Got => ({
      how,
      bytes: Buffer.concat(chunks),
      first,
      last: this.time.now(),
      ...(error !== undefined && { error }),
    });
    try {
      const reading = await this.transfers.open(known, from, gone.signal, via);
      try {
        for await (const chunk of reading.chunks()) {
          this.time.event();
          if (Number.isNaN(first)) first = this.time.now();
          if (pause > 0) await this.time.sleep(pause);
          // What the agent hands out may be a view of memory that it still uses.
          chunks.push(Uint8Array.from(chunk));
          total += chunk.length;
          seen?.(chunk, total);
          if (total >= until) {
            gone.abort();
            return got('left');
          }
        }
      } finally {
        reading.close();
      }
      return got(from + total === known.narinfo.narSize ? 'complete' : 'left');
    } catch (error) {
      if (error instanceof NarUnavailable) return got('unavailable', error);
      if (error instanceof NarCut) return got('cut', error);
      throw error;
    }
  }

  /** Lets time pass until the work is done. */
  run<T>(work: Promise<T>): Promise<T> {
    return this.time.run(work);
  }

  /** Lets a second pass, in which what is under way on the disk ends. */
  settle(): Promise<void> {
    return this.time.run(this.time.sleep(1_000));
  }

  async stop(): Promise<void> {
    await this.run(Promise.all([this.transfers.stop(), this.pool.close()]));
  }
}

/** A cache directory of its own, which syncs nothing. `verdict` may let calls of the file system fail. */
export async function temporaryCache(
  files: Files = unsynced,
  clock: Clock = systemClock,
): Promise<{
  readonly cache: DiskCache;
  readonly dir: string;
  close(): Promise<void>;
}> {
  const dir = await mkdtemp(join(fastDirectory, 'narrowcast-transfer-'));
  const cache = await DiskCache.open({ dir, storeDir, maxSize: 0, maxAge: 0, minFree: 0 }, { files, clock });
  return {
    cache,
    dir,
    async close() {
      await cache.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The real files, without waiting for the disk. */
export const unsynced: Files = {
  ...realFiles,
  async open(path, mode) {
    const file = await realFiles.open(path, mode);
    return {
      facts: () => file.facts(),
      read: (into, position) => file.read(into, position),
      write: (bytes, position) => file.write(bytes, position),
      sync: async () => {},
      close: () => file.close(),
    };
  },
  syncDirectory: async () => {},
};
