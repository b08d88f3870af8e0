import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';
import { portOf } from './ports.ts';

const piece = 4 * 1024;

/**
 * A binary cache behind a link of so many bytes per second, which all requests share, and which counts what crosses it. The link is
 * shallow: what has been sent has as good as arrived, for no buffer fills up. Emits 'nar' after each piece of a NAR; `whole` is true
 * with its last one.
 */
export class PacedUpstream
  extends EventEmitter<{ nar: [bytes: number, whole: boolean] }>
  implements AsyncDisposable
{
  /** Bytes of bodies that have crossed the link. */
  readonly crossed = { nars: 0, rest: 0 };
  bytesPerSecond: number;
  readonly #directory: string;
  readonly #files = new Map<string, Buffer>();
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));
  #freeAt = 0;

  private constructor(directory: string, bytesPerSecond: number) {
    super();
    this.#directory = directory;
    this.bytesPerSecond = bytesPerSecond;
  }

  static async start(directory: string, bytesPerSecond: number): Promise<PacedUpstream> {
    const upstream = new PacedUpstream(directory, bytesPerSecond);
    await once(upstream.#server.listen(0, '127.0.0.1'), 'listening');
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}`;
  }

  /** Cuts every connection: nothing more crosses the link for who was connected. */
  hangUp(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = normalize(request.url ?? '/');
    const file = await this.#file(path);
    if (file === undefined) return void response.writeHead(404).end();
    const from = Number(request.headers.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': file.length - from,
      'accept-ranges': 'bytes',
      ...(from > 0 && { 'content-range': `bytes ${from}-${file.length - 1}/${file.length}` }),
    });
    for (let at = from; at < file.length; at += piece) {
      const bytes = file.subarray(at, at + piece);
      await this.#turn(bytes.length);
      if (response.destroyed || request.socket.destroyed) return;
      response.write(bytes);
      if (path.startsWith('/nar/')) {
        this.crossed.nars += bytes.length;
        this.emit('nar', bytes.length, at + piece >= file.length);
      } else {
        this.crossed.rest += bytes.length;
      }
    }
    response.end();
  }

  async #file(path: string): Promise<Buffer | undefined> {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const file = await readFile(join(this.#directory, path)).catch(() => undefined);
    if (file !== undefined) this.#files.set(path, file);
    return file;
  }

  /** Waits until the link has carried what was to be sent before. */
  async #turn(bytes: number): Promise<void> {
    const now = performance.now();
    const begin = Math.max(now, this.#freeAt);
    this.#freeAt = begin + (bytes * 1000) / this.bytesPerSecond;
    if (begin - now >= 1) await new Promise((resolve) => setTimeout(resolve, begin - now));
  }
}
