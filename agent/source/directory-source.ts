import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { type CacheInfo, parseCacheInfo } from '../nix/cache-info.ts';
import { FormatError } from '../nix/error.ts';
import { maxNarinfoBytes, type Narinfo, parseNarinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
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
    return body;
  }

  async openFile(file: string, signal: AbortSignal): Promise<SourceBody | undefined> {
    return await this.#open(file, 0, signal);
  }

  async dropConnections(): Promise<void> {}

  async close(): Promise<void> {}

  async #small(file: string, maxBytes: number, signal: AbortSignal): Promise<string | undefined> {
    const body = await this.#open(file, 0, signal, this.#options.lookupTimeout);
    if (body === undefined) return undefined;
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of body.chunks) {
      size += chunk.length;
      if (size > maxBytes)
        throw new SourceError('wrong', `${this.id}/${file} is larger than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  async #open(
    file: string,
    offset: number,
    signal: AbortSignal,
    limit = this.#options.stalledTimeout,
  ): Promise<SourceBody | undefined> {
    signal.throwIfAborted();
    const name = path.join(this.#options.dir, decodeURI(file.replace(/\?.*$/, '')));
    try {
      const opened = await this.#unlessStuck(
        limit,
        signal,
        open(name, constants.O_RDONLY | constants.O_NONBLOCK),
        (late) => late.close(),
      );
      const info = await opened.stat();
      if (info.isFile() && offset <= info.size) {
        return {
          offset,
          size: info.size,
          type: undefined,
          chunks: this.#chunks(opened, offset, limit, signal),
        };
      }
      await opened.close();
      throw new SourceError(
        'wrong',
        `${name} is ${info.isFile() ? 'shorter than it was' : 'not a regular file'}`,
      );
    } catch (error) {
      if (!isMissing(error)) throw this.#fault(error, signal);
      const there = await stat(this.#options.dir).catch(() => undefined);
      if (there?.isDirectory()) return undefined;
      throw new SourceError('unreachable', `${this.#options.dir} is not there: is its disk mounted?`, {
        cause: error,
      });
    }
  }

  async *#chunks(
    handle: FileHandle,
    offset: number,
    limit: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    let reading: Promise<unknown> = Promise.resolve();
    try {
      for (let at = offset; ; ) {
        const read = handle.read(Buffer.allocUnsafe(readSize), 0, readSize, at);
        reading = read;
        const { bytesRead, buffer } = await this.#unlessStuck(limit, signal, read);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } catch (error) {
      throw this.#fault(error, signal);
    } finally {
      reading
        .catch(() => {})
        .then(() => handle.close())
        .catch(() => {});
    }
  }

  /** Waits for the disk, but not for ever; what comes too late is handed to `late`. */
  async #unlessStuck<T>(
    limit: number,
    signal: AbortSignal,
    work: Promise<T>,
    late: (value: T) => unknown = () => {},
  ): Promise<T> {
    const error = () => new SourceError('silent', `${this.id}: the disk did not answer for ${limit} ms`);
    const silence = new Silence(this.#clock, { limit, error });
    const given = AbortSignal.any([signal, silence.signal]);
    try {
      return await new Promise<T>((resolve, reject) => {
        const stop = () => {
          work.then(late).catch(() => {});
          reject(given.reason);
        };
        given.addEventListener('abort', stop, { once: true });
        work.then(resolve, reject).finally(() => given.removeEventListener('abort', stop));
      });
    } finally {
      silence.stop();
    }
  }

  #fault(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (error instanceof SourceError) return error;
    return new SourceError('broken', `${this.id} cannot be read: ${String(error)}`, { cause: error });
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

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
