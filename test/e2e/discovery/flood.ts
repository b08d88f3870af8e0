// A hostile machine: sends multicast DNS packets of many kinds from many addresses, as fast as it is told.
import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as passed } from 'node:timers/promises';
import {
  announcement,
  name,
  pointer,
  ptr,
  query,
  question,
  record,
  response,
  srv,
  txt,
} from '../../unit/discovery/wire.ts';

const [sources = '', seconds = '1', rate = '1000'] = process.argv.slice(2);

const sockets = await Promise.all(sources.split(',').map(openSocket));
const instance = 'Pi._nix-cache._tcp.local';
const service = (i: number) => ptr(pointer(12), Buffer.concat([name(`${i}`).subarray(0, -1), pointer(12)]));
const fixed = [
  response(
    ptr('_nix-cache._tcp.local', 'x._nix-cache._tcp.local'),
    ...Array.from({ length: 4_499 }, (_, i) => service(i % 999)),
  ),
  response(
    ptr('_nix-cache._tcp.local', 'x._nix-cache._tcp.local'),
    ...Array.from({ length: 159 }, (_, i) => service(i)),
  ),
  response(
    ...Array.from({ length: 4 }, () =>
      txt(
        'x._http._tcp.local',
        Array.from({ length: 2_000 }, () => ''),
      ),
    ),
  ),
  response(record('a.b', 'NSEC', Buffer.concat([name('c'), Buffer.alloc(8_000, 0xbf)]))),
  response(ptr('_nix-cache._tcp.local', instance, 0), srv(instance, 6271, 'pi.local', 0)),
  response(
    txt(
      'x._http._tcp.local',
      Array.from({ length: 240 }, () => 'x'.repeat(250)),
    ),
  ),
  query(Array.from({ length: 150 }, () => question('_nix-cache._tcp.local'))),
];
const original = announcement('Pi', 6271);

let sent = 0;
const end = Date.now() + Number(seconds) * 1_000;
while (Date.now() < end) {
  for (let i = 0; i < Number(rate) / 50; i += 1) {
    const socket = sockets[sent % sockets.length];
    socket?.send(nextPacket(), 5353, '224.0.0.251', () => {});
    sent += 1;
  }
  await passed(20);
}
for (const socket of sockets) socket.close();
process.stdout.write(`${sent}\n`);

function nextPacket(): Buffer {
  if (sent % 3 === 0) return announcement(`fake ${sent}`, 1 + (sent % 60_000));
  if (sent % 3 === 1) return fixed[Math.floor(sent / 3) % fixed.length] ?? original;
  const copy = Buffer.from(original);
  for (let i = 0; i < 4; i += 1)
    copy[Math.floor(Math.random() * copy.length)] = Math.floor(Math.random() * 256);
  return copy;
}

function openSocket(address: string): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  return new Promise((resolve) => {
    socket.bind(5353, address, () => {
      socket.setMulticastInterface(address);
      resolve(socket);
    });
  });
}
