import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** A name server for a few names, which can fall silent. */
export class NameServer implements AsyncDisposable {
  /** IPv4 addresses by name; any other name has none. */
  readonly addresses = new Map<string, string>();
  silent = false;
  /** Its own. */
  readonly address: string;
  readonly #socket: Socket;

  private constructor(address: string, socket: Socket) {
    this.address = address;
    this.#socket = socket;
    socket.on('message', (query, asker) => {
      const answer = dnsAnswer(query, this.addresses.get(nameIn(query)));
      if (!this.silent) socket.send(answer, asker.port, asker.address);
    });
  }

  /** Listens at port 53 of an address of this machine. */
  static async start(address: string): Promise<NameServer> {
    const socket = createSocket('udp4').bind(53, address);
    await once(socket, 'listening');
    return new NameServer(address, socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
  }
}

/** A query's one question, answered with the address where it is for an IPv4 address and with nothing where not (RFC 1035, 4.1). */
export function dnsAnswer(query: Buffer, address: string | undefined): Buffer {
  const end = query.indexOf(0, 12) + 5;
  const question = query.subarray(12, end);
  const isForAddress = question.readUInt16BE(question.length - 4) === 1;
  const found = isForAddress && address !== undefined ? address.split('.').map(Number) : [];
  const header = Buffer.from([0, 0, 0x81, 0x80, 0, 1, 0, found.length > 0 ? 1 : 0, 0, 0, 0, 0]);
  query.copy(header, 0, 0, 2);
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...found];
  return Buffer.concat([header, question, ...(found.length > 0 ? [Buffer.from(record)] : [])]);
}

function nameIn(query: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; ; ) {
    const length = query[at] ?? 0;
    if (length === 0) return labels.join('.');
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
}
