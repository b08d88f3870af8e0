import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NarrowcastError } from '../nix/error.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { boundConnections } from './connections.ts';
import type { ActivatedSocket } from './socket-activation.ts';

// An import of it would load Node's own fetch and WebSocket too: 13 MiB, and 30 ms of the start.
const { createServer } = process.getBuiltinModule('node:http');

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** What requests in flight get when the server stops, in ms. */
const farewell = 10_000;

/** One face of the agent: an HTTP server on one or more addresses with one handler, one log line a request, and a graceful stop. */
export class FaceServer {
  readonly #handler: Handler;
  readonly #log: Logger;
  readonly #maxConnections: number;
  readonly #clock: Clock;
  /** Each with what ends its connections that have no request. */
  readonly #servers = new Map<Server, () => void>();

  constructor(handler: Handler, log: Logger, maxConnections = 512, clock: Clock = systemClock) {
    this.#handler = handler;
    this.#log = log;
    this.#maxConnections = maxConnections;
    this.#clock = clock;
  }

  /**
   * Listens on every address that this machine has; port 0 lets the system choose one for all. Resolves to the port.
   * @throws NarrowcastError `cannot-listen`, with the system's error as its cause
   */
  async listen(addresses: readonly string[], port: number): Promise<number> {
    let chosen = port;
    let missing: unknown;
    for (const address of addresses) {
      try {
        ({ port: chosen } = await this.#bind((server) =>
          server.listen({ host: address, port: chosen, ipv6Only: address !== '::' }),
        ));
      } catch (error) {
        const absent =
          error instanceof Error &&
          'code' in error &&
          (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT');
        if (!absent) {
          await this.stop();
          throw new NarrowcastError('cannot-listen', `Cannot listen on ${address} port ${chosen}`, {
            cause: error,
          });
        }
        missing = error;
      }
    }
    if (this.#servers.size > 0) return chosen;
    throw new NarrowcastError(
      'cannot-listen',
      `This machine has none of the addresses ${addresses.join(', ')}`,
      { cause: missing },
    );
  }

  /**
   * Serves on sockets that the service manager holds: connections made while nobody serves wait there. Resolves to the port
   * of the first.
   * @throws NarrowcastError `bad-socket` unless each is a TCP socket on a loopback address
   */
  async adopt(sockets: readonly ActivatedSocket[]): Promise<number> {
    const ports: number[] = [];
    for (const { fd, name } of sockets) {
      try {
        const { address, port } = await this.#bind((server) => server.listen({ fd }));
        // Nothing has been accepted yet: that takes a turn of the event loop.
        if (!isLoopback(address))
          throw new RangeError(`${address} port ${port} is not for this machine alone`);
        ports.push(port);
      } catch (cause) {
        await this.stop();
        const message = `The socket ${name} (file descriptor ${fd}) is not a TCP socket on a loopback address: correct ListenStream= of its unit`;
        throw new NarrowcastError('bad-socket', message, { cause });
      }
    }
    return ports[0] ?? 0;
  }

  /** Takes no new requests, gives those in flight 10 s, then cuts them. */
  async stop(): Promise<void> {
    const servers = [...this.#servers];
    this.#servers.clear();
    const cancelCut = this.#clock.after(farewell, () => {
      for (const [server] of servers) server.closeAllConnections();
    });
    await Promise.all(
      servers.map(([server, endIdle]) => {
        const closed = once(server, 'close');
        server.close();
        endIdle();
        return closed;
      }),
    );
    cancelCut();
  }

  async #bind(listen: (server: Server) => void): Promise<AddressInfo> {
    const server = createServer(
      // An upload may take hours; whoever reads a body has a timeout on its progress.
      { keepAliveTimeout: 120_000, headersTimeout: 20_000, requestTimeout: 0, noDelay: true },
      (request, response) => {
        void this.#answer(request, response);
      },
    );
    // Whether a body is wanted is for the handler to say.
    server.on('checkContinue', (request, response) => server.emit('request', request, response));
    const endIdle = boundConnections(server, this.#maxConnections);
    listen(server);
    await once(server, 'listening');
    server.on('error', (err) => this.#log.error({ err }, 'connection not accepted'));
    this.#servers.set(server, endIdle);
    return server.address() as AddressInfo;
  }

  /** What fails before its first byte is not here, and what fails later is cut, so that Nix resumes it. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.strictContentLength = true;
    const started = performance.now();
    if (this.#log.isLevelEnabled('debug')) {
      response.once('close', () => {
        const ms = Math.round(performance.now() - started);
        const { method, url } = request;
        this.#log.debug(
          { method, url, status: response.statusCode, complete: response.writableFinished, ms },
          'request',
        );
      });
    }
    try {
      await this.#handler(request, response);
    } catch (err) {
      if (response.destroyed && (err instanceof NarrowcastError || isUnsent(err)))
        return this.#log.debug({ err, url: request.url }, 'the client has left');
      if (!(err instanceof NarrowcastError)) this.#log.error({ err, url: request.url }, 'request failed');
      else this.#log.info({ err, url: request.url }, response.headersSent ? 'answer cut' : 'not here');
      if (!response.headersSent) response.writeHead(404).end();
      else response.destroy();
    }
  }
}

/** A connection that is closed takes nothing, which Node holds against the length that was announced. */
function isUnsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_HTTP_CONTENT_LENGTH_MISMATCH';
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
