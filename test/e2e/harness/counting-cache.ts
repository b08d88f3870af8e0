import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';
import { setTimeout as passed } from 'node:timers/promises';
import { portOf } from './ports.ts';

/** What a cache does with one of its files. */
export interface Manner {
  /** Answers so many ms late. */
  readonly late?: number;
  /** Gives other bytes. */
  readonly instead?: (genuine: Buffer) => Buffer;
  /** Ends the connection after so many bytes of the body, the first time … */
  readonly cutAt?: number;
  /** … and refuses all connections from then on. */
  readonly dies?: boolean;
}

/** A binary cache on loopback with some files of a directory, which counts the bodies that it puts on the wire. */
export class CountingCache implements AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  url = '';
  /** Bytes of bodies of 200 and 206. */
  bytes = 0;
  /** The same of NARs alone. */
  narBytes = 0;
  /** Every path asked for, in order. */
  readonly asked: string[] = [];
  readonly #directory: string;
  readonly #files: ReadonlyMap<string, Manner>;
  readonly #cut = new Set<string>();
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));

  private constructor(directory: string, files: ReadonlyMap<string, Manner>) {
    this.#directory = directory;
    this.#files = files;
  }

  /** Files by their names in the directory; `nix-cache-info` is one without being named. */
  static async start(directory: string, files: ReadonlyMap<string, Manner>): Promise<CountingCache> {
    const cache = new CountingCache(directory, files);
    await once(cache.#server.listen(0, '127.0.0.1'), 'listening');
    cache.url = `http://127.0.0.1:${portOf(cache.#server)}`;
    return cache;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = normalize(request.url ?? '/').slice(1);
    this.asked.push(name);
    const manner = name === 'nix-cache-info' ? {} : this.#files.get(name);
    if (manner?.late !== undefined) await passed(manner.late);
    if (response.destroyed) return;
    if (manner === undefined) {
      response.writeHead(404).end();
      return;
    }
    const genuine = await readFile(join(this.#directory, name));
    const whole = manner.instead?.(genuine) ?? genuine;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': whole.length - from,
      'accept-ranges': 'bytes',
      ...(from > 0 && { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` }),
    });
    const { cutAt, dies = false } = manner;
    if (cutAt === undefined || this.#cut.has(name)) {
      this.#count(name, whole.length - from);
      response.end(whole.subarray(from));
      return;
    }
    this.#cut.add(name);
    this.#count(name, cutAt - from);
    if (dies) this.#server.close();
    response.write(whole.subarray(from, cutAt), () => {
      request.socket.end();
      if (dies) this.#server.closeIdleConnections();
    });
  }

  #count(name: string, bytes: number): void {
    this.bytes += bytes;
    if (name.startsWith('nar/')) this.narBytes += bytes;
  }
}
