import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { portOf } from '../e2e/harness/ports.ts';

/** What a network is like, seen from a client. */
export interface Shape {
  /** Bits a second towards the client, for all connections together; unlimited when left out. */
  readonly bitsPerSecond?: number;
  /** Round-trip time, in ms. */
  readonly roundTrip?: number;
}

/** What connections take in turn: about as much as a few packets. */
const pieceSize = 8 * 1024;
/** What may be under way in one connection, in bytes: a window that TCP would have opened by then. */
const maxUnderWay = 1024 * 1024;

/**
 * A TCP link to a server, at a free port of 127.0.0.1, that is as slow and as far away as it is told to be; opening a connection
 * costs a round trip, as everywhere. TCP's slow start and losses are not imitated: both would cost everybody alike, only more.
 */
export class SlowLink implements AsyncDisposable {
  /** Bytes that have crossed it towards the client, headers included. */
  bytes = 0;
  readonly #target: URL;
  readonly #oneWay: number;
  readonly #bytesPerMs: number;
  readonly #server: Server = createServer({ noDelay: true }, (client) => void this.#carry(client));
  readonly #clients = new Set<Socket>();
  #freeAt = 0;

  private constructor(target: string, { bitsPerSecond, roundTrip = 0 }: Shape) {
    this.#target = new URL(target);
    this.#oneWay = roundTrip / 2;
    this.#bytesPerMs = bitsPerSecond === undefined ? Number.POSITIVE_INFINITY : bitsPerSecond / 8_000;
  }

  static async start(target: string, shape: Shape): Promise<SlowLink> {
    const link = new SlowLink(target, shape);
    await once(link.#server.listen(0, '127.0.0.1'), 'listening');
    return link;
  }

  /** Of the server, behind the link: `http://127.0.0.1:PORT`. */
  get url(): string {
    return `${this.#target.protocol}//127.0.0.1:${portOf(this.#server)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
  }

  async #carry(client: Socket): Promise<void> {
    const { hostname: host, port } = this.#target;
    const server = createConnection({ host, port: Number(port), noDelay: true });
    this.#clients.add(client);
    for (const socket of [client, server]) socket.on('error', () => {});
    client.once('close', () => {
      this.#clients.delete(client);
      server.destroy();
    });
    await Promise.all([
      this.#pump(client, server, 3 * this.#oneWay, () => 0),
      this.#pump(server, client, this.#oneWay, (bytes) => this.#turn(bytes)),
    ]);
  }

  /** Carries what comes from one end to the other; `firstDelay` holds for the first bytes, the one-way time for all others. */
  async #pump(from: Socket, to: Socket, firstDelay: number, turn: (bytes: number) => number): Promise<void> {
    let delay = firstDelay;
    let underWay = 0;
    let last: Promise<unknown> = Promise.resolve();
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        for (let at = 0; at < chunk.length; at += pieceSize) {
          const piece = chunk.subarray(at, at + pieceSize);
          while (underWay >= maxUnderWay) await last;
          const wait = turn(piece.length) + delay;
          underWay += piece.length;
          last = this.#deliver(piece, to, wait, last).then(() => {
            underWay -= piece.length;
          });
        }
        delay = this.#oneWay;
      }
      await last;
      to.end();
    } catch {
      to.destroy();
    }
  }

  async #deliver(piece: Buffer, to: Socket, wait: number, before: Promise<unknown>): Promise<void> {
    if (wait >= 1) await setTimeout(wait);
    await before;
    if (!to.destroyed && !to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
  }

  /** Books the next free time of the link. In ms from now. */
  #turn(bytes: number): number {
    this.bytes += bytes;
    const now = performance.now();
    this.#freeAt = Math.max(now, this.#freeAt) + bytes / this.#bytesPerMs;
    return this.#freeAt - now;
  }
}
