import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { portOf } from '../../../e2e/harness/ports.ts';

export type Reply = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface ScriptedServerOptions {
  /** 127.0.0.1 by default. */
  readonly host?: string;
  readonly port?: number;
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A real server on loopback that answers as a test says, and tells what it was asked. */
export class ScriptedServer implements AsyncDisposable {
  /** How it answers; may be changed at any time. */
  reply: Reply;
  readonly requests: IncomingMessage[] = [];
  /** Connections that are open now. */
  readonly sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #origin: string;
  #moved = Promise.withResolvers<void>();

  private constructor(reply: Reply, server: Server, origin: string) {
    this.reply = reply;
    this.#server = server;
    this.#origin = origin;
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        this.sockets.delete(socket);
        this.#move();
      });
      this.#move();
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.requests.push(request);
      this.#move();
      void this.reply(request, response);
    });
  }

  static async start(reply: Reply, options: ScriptedServerOptions = {}): Promise<ScriptedServer> {
    const { host = '127.0.0.1', port = 0, tls } = options;
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    server.keepAliveTimeout = 60_000;
    server.listen(port, host);
    await once(server, 'listening');
    const name = host.includes(':') ? `[${host}]` : host;
    const origin = `${tls === undefined ? 'http' : 'https'}://${tls === undefined ? name : 'localhost'}:${portOf(server)}`;
    return new ScriptedServer(reply, server, origin);
  }

  get url(): URL {
    return new URL(this.#origin);
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** Paths that were asked for, in order. */
  get asked(): string[] {
    return this.requests.map(({ url }) => url ?? '');
  }

  count(path: string): number {
    return this.asked.filter((asked) => asked === path).length;
  }

  /** Resolves when `path` has been asked for so many times in all. */
  async wasAsked(path: string, times = 1): Promise<void> {
    await this.until(() => this.count(path) >= times);
  }

  /** Resolves when `holds`; it is looked at again after every request and every change of connections. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#moved.promise;
  }

  /** Refuses connections from now on, and cuts those that are open. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #move(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }
}

/** A status and a text. */
export function text(status: number, body = '', headers: Readonly<Record<string, string>> = {}): Reply {
  return (_, response) => {
    response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers }).end(body);
  };
}

/** Says nothing and keeps the connection. */
export const hang: Reply = () => {};

/** Resets the connection. */
export const reset: Reply = ({ socket }) => {
  socket.resetAndDestroy();
};

/** An answer for each path; 404 for all others. */
export function byPath(replies: Readonly<Record<string, Reply>>): Reply {
  return (request, response) => (replies[request.url ?? ''] ?? text(404))(request, response);
}
