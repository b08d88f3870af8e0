import { EventEmitter, once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { portOf } from './ports.ts';

/** A request that crossed a link. */
export interface LinkRequest {
  readonly path: string;
  readonly range?: string;
  /** When, in ms since the epoch. */
  readonly at: number;
}

export interface LinkOptions {
  /** All connections together, towards the client; unlimited when left out. */
  readonly bytesPerSecond?: number;
  /** A server that refuses is tried again until it is there: nobody notices that it restarts, but for connections that are cut. */
  readonly holds?: boolean;
}

const piece = 8 * 1024;

/**
 * The network between a client and an HTTP server: a TCP proxy at a free port of 127.0.0.1 that can be slow, cut, silent or away, and
 * counts what crosses it towards the client, headers included. Emits 'bytes' after each piece.
 */
export class Link extends EventEmitter<{ bytes: [total: number] }> implements AsyncDisposable {
  readonly requests: LinkRequest[] = [];
  bytes = 0;
  readonly #target: URL;
  readonly #options: LinkOptions;
  readonly #server: Server = createServer({ pauseOnConnect: true }, (client) => void this.#carry(client));
  readonly #clients = new Set<Socket>();
  readonly #forgotten = new WeakSet<Socket>();
  readonly #cuts: number[] = [];
  #silent = false;
  #freeAt = 0;

  private constructor(target: string, options: LinkOptions) {
    super();
    this.#target = new URL(target);
    this.#options = options;
  }

  static async start(target: string, options: LinkOptions = {}): Promise<Link> {
    const link = new Link(target, options);
    await once(link.#server.listen(0, '127.0.0.1'), 'listening');
    return link;
  }

  /** `http://127.0.0.1:PORT` */
  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}`;
  }

  /** The requests for NARs. */
  get nars(): LinkRequest[] {
    return this.requests.filter(({ path }) => path.startsWith('/nar/'));
  }

  /** Cuts every connection, by RST and by FIN in turn, whenever the total of bytes comes to one of these numbers. */
  cutAt(totals: readonly number[]): void {
    this.#cuts.push(...totals);
    this.#cuts.sort((a, b) => a - b);
  }

  /** Cuts every connection now. */
  cut(how: 'reset' | 'end' = 'reset'): void {
    for (const client of this.#clients) {
      if (how === 'reset') client.resetAndDestroy();
      else client.end();
    }
  }

  /** Nothing crosses it any more, not even the end of a connection. */
  fallSilent(): void {
    this.#silent = true;
  }

  /** The connections that there are carry nothing any more, as after a machine has slept; new ones do. */
  forget(): void {
    for (const client of this.#clients) this.#forgotten.add(client);
  }

  /** Cuts every connection, and refuses new ones. */
  close(how: 'reset' | 'end' = 'reset'): void {
    this.#server.close();
    this.cut(how);
  }

  /** Resolves once so many bytes have crossed it. */
  async carried(total: number): Promise<void> {
    while (this.bytes < total) await once(this, 'bytes');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
  }

  async #carry(client: Socket): Promise<void> {
    this.#clients.add(client);
    client.on('error', () => {});
    client.once('close', () => this.#clients.delete(client));
    const server = await this.#reach(client);
    if (server === undefined) return;
    client.once('close', () => server.destroy());
    client.on('data', (chunk) => {
      this.#note(chunk);
      if (!this.#isSilent(client)) server.write(chunk);
    });
    client.resume();
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    try {
      for await (const chunk of server) await this.#send(client, chunk, closed);
      client.end();
    } catch {
      if (!this.#isSilent(client)) client.resetAndDestroy();
    }
  }

  /** Connects to the server; undefined when the client is gone before that. */
  async #reach(client: Socket): Promise<Socket | undefined> {
    const { hostname: host, port } = this.#target;
    while (!client.destroyed) {
      const server = createConnection({ host, port: Number(port) });
      try {
        await once(server, 'connect');
        server.on('error', () => {});
        return server;
      } catch {
        if (!this.#options.holds) return void client.resetAndDestroy();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    return undefined;
  }

  #note(chunk: Buffer): void {
    const text = chunk.toString('latin1');
    const path = /^GET (\S+) HTTP/.exec(text)?.[1];
    const range = /^range: *(.*?)\r?$/im.exec(text)?.[1];
    if (path !== undefined)
      this.requests.push({ path, at: Date.now(), ...(range !== undefined && { range }) });
  }

  async #send(client: Socket, chunk: Buffer, closed: Promise<void>): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const untilCut = (this.#cuts[0] ?? Number.POSITIVE_INFINITY) - this.bytes;
      const bytes = chunk.subarray(at, at + Math.max(1, Math.min(piece, untilCut)));
      await this.#turn(bytes.length);
      if (this.#isSilent(client)) return await new Promise(() => {});
      if (client.destroyed) return;
      const sent = new Promise<void>((resolve) => client.write(bytes, () => resolve()));
      await Promise.race([sent, closed]);
      at += bytes.length;
      this.bytes += bytes.length;
      this.emit('bytes', this.bytes);
      if (this.bytes >= (this.#cuts[0] ?? Number.POSITIVE_INFINITY)) {
        this.#cuts.shift();
        this.cut(this.#cuts.length % 2 === 0 ? 'reset' : 'end');
      }
    }
  }

  #isSilent(client: Socket): boolean {
    return this.#silent || this.#forgotten.has(client);
  }

  /** Waits until the link has carried what was to be sent before. */
  async #turn(bytes: number): Promise<void> {
    const { bytesPerSecond } = this.#options;
    if (bytesPerSecond === undefined) return;
    const now = performance.now();
    const begin = Math.max(now, this.#freeAt);
    this.#freeAt = begin + (bytes * 1_000) / bytesPerSecond;
    if (begin - now >= 1) await new Promise((resolve) => setTimeout(resolve, begin - now));
  }
}
