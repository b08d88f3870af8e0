import { constants } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { type CacheInfo, parseCacheInfo } from '../nix/cache-info.ts';
import { FormatError } from '../nix/error.ts';
import { maxNarinfoBytes, type Narinfo, parseNarinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { Counters } from '../telemetry/counters.ts';
import { SourceError } from './error.ts';
import { Silence } from './silence.ts';
import type { Source, SourceBody } from './source.ts';

export interface DirectorySourceOptions {
  /** Absolute path of a directory that `nix copy --to file://…` wrote. */
  readonly dir: string;
  readonly priority?: number | undefined;
  readonly storeDir: string;
  /** Longest wait for the disk while it owes a narinfo, in ms: a share whose server is away blocks for ever. */
  readonly lookupTimeout: number;
  /** Longest wait for the next bytes of a NAR, in ms. */
  readonly stalledTimeout: number;
  readonly counters?: Counters | undefined;
  readonly clock?: Clock;
}

const readSize = 256 * 1024;
const maxCacheInfoBytes = 4_096;

/** A binary cache directory on a disk of this machine: a USB stick, a mounted share. */
export class DirectorySource implements Source {
  readonly id: string;
  readonly reach = 'disk';
  readonly configured = true;
  readonly onThisMachine = true;
  readonly priority: number | undefined;
  readonly #options: DirectorySourceOptions;
  readonly #clock: Clock;

  constructor(options: DirectorySourceOptions) {
    this.id = `file://${options.dir}`;
    this.priority = options.priority;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  async narinfo(hashPart: HashPart, signal: AbortSignal): Promise<Narinfo | undefined> {
    const text = await this.#small(`${hashPart}.narinfo`, maxNarinfoBytes, signal);
    if (text === undefined) return undefined;
    const narinfo = this.#readable(() => parseNarinfo(text, this.#options.storeDir), `${hashPart}.narinfo`);
    if (narinfo.storePath.hashPart === hashPart) return narinfo;
    throw new SourceError(
      'wrong',
      `${this.id}/${hashPart}.narinfo describes another path, ${narinfo.storePath.base}`,
    );
  }

  async probe(signal: AbortSignal): Promise<CacheInfo> {
    const text = await this.#small('nix-cache-info', maxCacheInfoBytes, signal);
    if (text === undefined)
      throw new SourceError('wrong', `${this.id} has no nix-cache-info: it is no binary cache`);
    return this.#readable(() => parseCacheInfo(text), 'nix-cache-info');
  }

  async openNar(url: string, offset: number, signal: AbortSignal): Promise<SourceBody> {
    const body = await this.#open(url, offset, signal);
    if (body === undefined) throw new SourceError('gone', `${this.id} no longer has ${url}`);
    return { ...body, chunks: this.#counted(body.chunks) };
  }

  /** Nobody verifies these files: a link on somebody's disk must not lead to this machine's own. */
  async openFile(file: string, signal: AbortSignal): Promise<SourceBody | undefined> {
    return await this.#open(file, 0, signal, { within: true });
  }

  async dropConnections(): Promise<void> {}

  async close(): Promise<void> {}

  async *#counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const giver = { id: this.id, origin: this.reach } as const;
    for await (const chunk of chunks) {
      this.#options.counters?.received(giver, 'nar', chunk.length);
      yield chunk;
    }
  }

  async #small(file: string, maxBytes: number, signal: AbortSignal): Promise<string | undefined> {
    const body = await this.#open(file, 0, signal, { limit: this.#options.lookupTimeout });
    if (body === undefined) return undefined;
    if (body.size > maxBytes)
      throw new SourceError('wrong', `${this.id}/${file} is larger than ${maxBytes} bytes`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of body.chunks) chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  }

  async #open(
    file: string,
    offset: number,
    signal: AbortSignal,
    { limit = this.#options.stalledTimeout, within = false } = {},
  ): Promise<(SourceBody & { readonly size: number }) | undefined> {
    const found = await this.#unlessStuck(limit, signal, () => find(this.#options.dir, file, within));
    if (found === undefined) return undefined;
    const { name, size } = found;
    if (offset > size) throw new SourceError('wrong', `${name} is shorter than it was`);
    return { offset, size, type: undefined, chunks: this.#chunks(name, offset, size, limit, signal) };
  }

  async *#chunks(
    name: string,
    from: number,
    size: number,
    limit: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const file = await this.#unlessStuck(limit, signal, () => openForReading(name), closeQuietly);
    try {
      for (let at = from; at < size; ) {
        const length = Math.min(readSize, size - at);
        const { bytesRead, buffer } = await this.#unlessStuck(limit, signal, () =>
          file.read(Buffer.allocUnsafe(length), 0, length, at),
        );
        if (bytesRead === 0) throw new SourceError('broken', `${name} ended after ${at} of ${size} bytes`);
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      closeQuietly(file);
    }
  }

  /** Waits for the disk, but not for ever; what comes too late is handed to `late`. */
  async #unlessStuck<T>(
    limit: number,
    signal: AbortSignal,
    begin: () => Promise<T>,
    late: (value: T) => void = () => {},
  ): Promise<T> {
    signal.throwIfAborted();
    const error = () => new SourceError('silent', `${this.id}: the disk did not answer for ${limit} ms`);
    const silence = new Silence(this.#clock, { limit, error });
    const stopped = AbortSignal.any([signal, silence.signal]);
    const work = begin();
    try {
      return await new Promise<T>((resolve, reject) => {
        const stop = () => {
          work.then(late, () => {});
          reject(stopped.reason);
        };
        stopped.addEventListener('abort', stop, { once: true });
        work.then(resolve, reject).finally(() => stopped.removeEventListener('abort', stop));
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof SourceError) throw error;
      throw new SourceError('broken', `${this.id} cannot be read: ${String(error)}`, { cause: error });
    } finally {
      silence.stop();
    }
  }

  #readable<T>(parse: () => T, file: string): T {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new SourceError('wrong', `${this.id}/${file} is not what its name says: ${error.message}`, {
        cause: error,
      });
    }
  }
}

/**
 * The regular file that a URL beneath the directory names; undefined when there is none. With `within`, neither when links lead out of
 * the directory.
 * @throws SourceError `unreachable` when the directory itself is not there, `wrong` for anything but a regular file
 */
async function find(
  dir: string,
  url: string,
  within: boolean,
): Promise<{ name: string; size: number } | undefined> {
  const name = path.join(dir, decodeURIComponent(url.replace(/\?.*$/, '')));
  try {
    const info = await stat(name);
    if (!info.isFile()) throw new SourceError('wrong', `${name} is not a regular file`);
    if (within && !(await realpath(name)).startsWith(`${await realpath(dir)}${path.sep}`)) return undefined;
    return { name, size: info.size };
  } catch (error) {
    if (!isMissing(error)) throw error;
    const there = await stat(dir).catch(() => undefined);
    if (there?.isDirectory()) return undefined;
    throw new SourceError('unreachable', `${dir} is not there: is its disk mounted?`, { cause: error });
  }
}

/** Without waiting, should a pipe have taken the file's place. */
function openForReading(name: string): Promise<FileHandle> {
  return open(name, constants.O_RDONLY | constants.O_NONBLOCK);
}

function closeQuietly(file: FileHandle): void {
  file.close().catch(() => {});
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
