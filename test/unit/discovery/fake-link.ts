import { EventEmitter } from 'node:events';
import type { UdpSocket } from '../../../discovery/guarded-socket.ts';
import type { PacketOrigin } from '../../../discovery/guards.ts';

/** A network without cables: what one socket sends reaches every socket that has joined, the sender's own too. */
export class FakeLink {
  /** What was sent, in order. */
  readonly sent: { readonly message: Buffer; readonly from: string }[] = [];
  /** When set, sockets fail to bind or to send with this code. */
  bindFails: string | undefined;
  joinFails: string | undefined;
  sendFails: string | undefined;
  /** When set, nothing arrives. */
  isCut = false;
  readonly #joined = new Set<FakeSocket>();

  /** A socket of the machine with this address. */
  socket(address: string): UdpSocket {
    return new FakeSocket(this, address);
  }

  get joined(): number {
    return this.#joined.size;
  }

  join(socket: FakeSocket): void {
    this.#joined.add(socket);
  }

  leave(socket: FakeSocket): void {
    this.#joined.delete(socket);
  }

  /** Puts a packet on the link as if the machine with this address had sent it. */
  deliver(message: Buffer, address: string, port = 5353): void {
    if (this.isCut) return;
    for (const socket of [...this.#joined]) socket.emit('message', Buffer.from(message), { address, port });
  }
}

class FakeSocket extends EventEmitter<{
  message: [Buffer, PacketOrigin];
  error: [Error];
  listening: [];
}> {
  readonly #link: FakeLink;
  readonly #address: string;

  constructor(link: FakeLink, address: string) {
    super();
    this.#link = link;
    this.#address = address;
  }

  bind(_port: number, _address: string, onListening: () => void): void {
    process.nextTick(() => {
      if (this.#link.bindFails) {
        this.emit('error', failure(this.#link.bindFails));
        return;
      }
      this.emit('listening');
      onListening();
    });
  }

  address(): { port: number } {
    return { port: 5353 };
  }

  addMembership(): void {
    if (this.#link.joinFails) throw failure(this.#link.joinFails);
    this.#link.join(this);
  }

  dropMembership(): void {
    this.#link.leave(this);
  }

  setMulticastInterface(): void {}

  setMulticastTTL(): void {}

  setMulticastLoopback(): void {}

  send(
    message: Buffer,
    _offset: number,
    _length: number,
    _port: number,
    _to: string,
    onSent: (error: Error | null) => void,
  ): void {
    const code = this.#link.sendFails;
    if (!code) {
      this.#link.sent.push({ message: unpooled(message), from: this.#address });
      this.#link.deliver(message, this.#address);
    }
    setImmediate(() => onSent(code ? failure(code) : null));
  }

  close(): void {
    this.#link.leave(this);
  }
}

// A small buffer would keep the whole pool that it was cut from, which tests of memory would count.
function unpooled(message: Buffer): Buffer {
  const copy = Buffer.alloc(message.length);
  message.copy(copy);
  return copy;
}

function failure(code: string): Error {
  return Object.assign(new Error(`the test says ${code}`), { code });
}
