import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Keeps a server at no more than `max` connections. A newcomer takes the place of a connection without a request, first of one from
 * the address that has most: whoever opens many and says nothing, or says it slowly, keeps nobody out. Once the server listens no
 * more, a connection ends with its answer; the result ends those without a request.
 */
export function boundConnections(server: Server, max: number): () => void {
  const open = new Set<Socket>();
  /** Those that owe no answer, the longest idle first. */
  const idle = new Set<Socket>();
  const forget = (socket: Socket) => {
    open.delete(socket);
    idle.delete(socket);
  };
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    idle.add(socket);
    socket.once('close', () => forget(socket));
    const surplus = open.size > max ? leastWanted(open, idle) : undefined;
    if (surplus === undefined) return;
    forget(surplus);
    surplus.destroy();
  });
  server.on('request', ({ socket }, response) => {
    idle.delete(socket);
    response.once('close', () => {
      if (!server.listening) socket.destroySoon();
      else if (!socket.destroyed) idle.add(socket);
    });
  });
  return () => {
    for (const socket of idle) socket.destroy();
  };
}

function leastWanted(open: ReadonlySet<Socket>, idle: ReadonlySet<Socket>): Socket | undefined {
  const from = new Map<string | undefined, number>();
  for (const { remoteAddress } of open) from.set(remoteAddress, (from.get(remoteAddress) ?? 0) + 1);
  const crowd = ({ remoteAddress }: Socket) => from.get(remoteAddress) ?? 0;
  let least: Socket | undefined;
  for (const socket of idle) if (least === undefined || crowd(socket) > crowd(least)) least = socket;
  return least;
}
