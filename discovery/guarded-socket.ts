import { EventEmitter } from 'node:events';
import type { Guard, PacketOrigin } from './guards.ts';

/** What is used of a UDP socket; `node:dgram` makes one. */
export interface UdpSocket {
  on(event: 'message', listener: (message: Buffer, origin: PacketOrigin) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'listening', listener: () => void): unknown;
  bind(port: number, address: string, onListening: () => void): unknown;
  address(): { readonly port: number };
  addMembership(group: string, interfaceAddress: string): void;
  dropMembership(group: string, interfaceAddress: string): void;
  setMulticastInterface(interfaceAddress: string): void;
  setMulticastTTL(ttl: number): unknown;
  setMulticastLoopback(on: boolean): unknown;
  send(
    message: Buffer,
    offset: number,
    length: number,
    port: number,
    address: string,
    onSent: (error: Error | null) => void,
  ): void;
  close(onClosed?: () => void): unknown;
}

/** How a socket fares. Nothing is told of one that was closed. */
export interface SocketWatcher {
  /** A packet went out. */
  sent(): void;
  /** A packet could not go out; a later one may. */
  failed(error: Error): void;
  /** The socket is of no use: its port is taken, or the multicast group can't be joined. */
  broken(error: Error): void;
}

/**
 * Stands between a UDP socket and the mDNS library: lets in what the guard admits, and tells the watcher of every
 * failure, also of those that the library would throw where nobody can catch them.
 */
export class GuardedSocket extends EventEmitter {
  readonly #inner: UdpSocket;
  readonly #watcher: SocketWatcher;
  #closed = false;

  constructor(inner: UdpSocket, guard: Guard, watcher: SocketWatcher) {
    super();
    this.#inner = inner;
    this.#watcher = watcher;
    inner.on('message', (message, origin) => {
      if (guard.admits(message, origin)) this.emit('message', message, origin);
    });
    inner.on('listening', () => this.emit('listening'));
    inner.on('error', (error) => this.#break(error));
  }

  bind(port: number, address: string, onListening: () => void): void {
    try {
      this.#inner.bind(port, address, onListening);
    } catch (error) {
      this.#breakSoon(asError(error));
    }
  }

  address(): { readonly port: number } {
    return this.#inner.address();
  }

  addMembership(group: string, interfaceAddress: string): void {
    try {
      this.#inner.addMembership(group, interfaceAddress);
    } catch (error) {
      this.#breakSoon(asError(error));
    }
  }

  dropMembership(group: string, interfaceAddress: string): void {
    this.#inner.dropMembership(group, interfaceAddress);
  }

  setMulticastInterface(interfaceAddress: string): void {
    this.#attempt(() => this.#inner.setMulticastInterface(interfaceAddress));
  }

  setMulticastTTL(ttl: number): void {
    this.#attempt(() => this.#inner.setMulticastTTL(ttl));
  }

  setMulticastLoopback(on: boolean): void {
    this.#attempt(() => this.#inner.setMulticastLoopback(on));
  }

  send(
    message: Buffer,
    offset: number,
    length: number,
    port: number,
    address: string,
    onSent: (error: Error | null) => void,
  ): void {
    if (this.#closed) {
      onSent(null);
      return;
    }
    this.#attempt(() =>
      this.#inner.send(message, offset, length, port, address, (error) => {
        if (error) this.#fail(error);
        else if (!this.#closed) this.#watcher.sent();
        onSent(error);
      }),
    );
  }

  close(onClosed?: () => void): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#inner.close(onClosed);
    } catch {
      onClosed?.();
    }
  }

  #attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#fail(asError(error));
    }
  }

  #fail(error: Error): void {
    if (!this.#closed) this.#watcher.failed(error);
  }

  // Not before the library, which calls, is done: closing it half-way would leave its timer running.
  #breakSoon(error: Error): void {
    queueMicrotask(() => this.#break(error));
  }

  // The library waits for this event to know that binding failed.
  #break(error: Error): void {
    if (this.#closed) return;
    this.#watcher.broken(error);
    this.emit('error', error);
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
