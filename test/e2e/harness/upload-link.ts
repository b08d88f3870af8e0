import { EventEmitter, once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { portOf } from './ports.ts';

/**
 * The network between an uploader and a server: a TCP proxy at a free port of 127.0.0.1 that counts what crosses it towards the server,
 * headers included, and cuts all connections at chosen totals. What has crossed arrives. Emits 'bytes' after each piece.
 */
export class UploadLink extends EventEmitter<{ bytes: [] }> implements AsyncDisposable {
  /** Towards the server. */
  bytes = 0;
  cuts = 0;
  readonly #server: Server = createServer({ pauseOnConnect: true }, (client) => void this.#carry(client));
  readonly #clients = new Set<Socket>();
  readonly #cutsAt: number[] = [];
  #target: URL;

  private constructor(target: string) {
    super();
    this.#target = new URL(target);
  }

  static async start(target: string): Promise<UploadLink> {
    const link = new UploadLink(target);
    await once(link.#server.listen(0, '127.0.0.1'), 'listening');
    return link;
  }

  /** `http://127.0.0.1:PORT` */
  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}`;
  }

  /** Cuts every connection whenever the total of bytes comes to one of these numbers, given in order. */
  cutAt(totals: readonly number[]): void {
    this.#cutsAt.push(...totals);
  }

  /** The server has moved. */
  leadTo(target: string): void {
    this.#target = new URL(target);
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
    const { hostname: host, port } = this.#target;
    const server = createConnection({ host, port: Number(port) });
    this.#clients.add(client);
    client.on('error', () => {});
    client.once('close', () => this.#clients.delete(client));
    server.once('error', () => client.resetAndDestroy());
    server.pipe(client);
    try {
      for await (const chunk of client) {
        this.bytes += chunk.length;
        await new Promise<void>((resolve) => server.write(chunk, () => resolve()));
        this.emit('bytes');
        if (this.bytes >= (this.#cutsAt[0] ?? Number.POSITIVE_INFINITY)) this.#cut();
      }
    } catch {
      // Cut: what the client had sent is on its way.
    } finally {
      server.end();
    }
  }

  #cut(): void {
    this.#cutsAt.shift();
    this.cuts += 1;
    for (const client of this.#clients) client.resetAndDestroy();
  }
}
