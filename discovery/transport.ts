import { Bonjour } from 'bonjour-service';
import type { Clock } from './clock.ts';
import { GuardedSocket, type SocketWatcher, type UdpSocket } from './guarded-socket.ts';
import { guardLink, type PacketOrigin } from './guards.ts';
import { type DecodedPacket, type Packet, type Question, type ResourceRecord, readPacket } from './packet.ts';
import type { Ipv4Link } from './subnet.ts';

/** Sends and receives multicast DNS packets on one interface. */
export interface Transport {
  /** Asks; whoever has nothing to add to the known answers keeps quiet. */
  query(questions: readonly Question[], knownAnswers: readonly ResourceRecord[]): void;
  /** Tells records to everyone on the link. Settles when they are sent or can't be. */
  respond(records: readonly ResourceRecord[]): Promise<void>;
  /** Closes the socket. Harmless when already closed. */
  close(): void;
}

/** Who listens to a transport. */
export interface TransportListener extends SocketWatcher {
  received(packet: Packet, origin: PacketOrigin): void;
}

const multicastGroup = '224.0.0.251';

/**
 * Opens a transport on the interface with the link's address. The socket is bound to the multicast group, so that
 * unicast answers meant for another responder on this machine stay with it.
 */
export function openTransport(
  socket: UdpSocket,
  link: Ipv4Link,
  listener: TransportListener,
  clock: Clock,
): Transport {
  const guarded = new GuardedSocket(socket, guardLink(link, clock), listener);
  const options = { type: 'udp4', socket: guarded, interface: link.address, bind: multicastGroup };
  const ignore = () => {}; // the guarded socket has told the listener already
  const bonjour = new Bonjour(options, ignore);
  const mdns: MulticastDns = bonjour['server'].mdns;
  mdns.on('error', ignore);
  mdns.on('warning', ignore);
  mdns.on('packet', (decoded, origin) => listener.received(readPacket(decoded), origin));
  return {
    query: (questions, knownAnswers) => {
      mdns.query({ questions: [...questions], answers: knownAnswers.map(encodable) }, ignore);
    },
    respond: (records) =>
      new Promise((resolve) => mdns.respond({ answers: records.map(encodable) }, () => resolve())),
    close: () => bonjour.destroy(),
  };
}

/** What is used of the multicast-dns instance below bonjour-service, which has no types of its own. */
interface MulticastDns {
  on(event: 'error' | 'warning', listener: (error: Error) => void): void;
  on(event: 'packet', listener: (packet: DecodedPacket, origin: PacketOrigin) => void): void;
  query(query: { questions: Question[]; answers: object[] }, onSent: () => void): void;
  respond(response: { answers: object[] }, onSent: () => void): void;
}

// A new object each time, for the encoder changes what it is given.
function encodable(record: ResourceRecord): object {
  if (record.type !== 'TXT') return { ...record };
  return { ...record, data: [...record.data].map(([key, value]) => `${key}=${value}`) };
}
