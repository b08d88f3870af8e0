import { describe, expect, it } from 'vitest';
import { GuardedSocket, type UdpSocket } from '../../../discovery/guarded-socket.ts';
import { openTransport } from '../../../discovery/transport.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { FakeLink } from './fake-link.ts';

const origin = { address: '192.168.0.42', port: 5353 };

function guarded(link = new FakeLink(), more: Partial<UdpSocket> = {}) {
  const told: string[] = [];
  const inner = Object.assign(link.socket('192.168.0.7'), more);
  const socket = new GuardedSocket(
    inner,
    { admits: (message) => message.toString() === 'good' },
    {
      sent: () => told.push('sent'),
      failed: ({ message }) => told.push(`failed: ${message}`),
      broken: ({ message }) => told.push(`broken: ${message}`),
    },
  );
  socket.on('error', () => {});
  const send = () => socket.send(Buffer.from('x'), 0, 1, 5353, '224.0.0.251', () => {});
  return { link, told, socket, send };
}

function throwing(message: string): () => never {
  return () => {
    throw new Error(message);
  };
}

describe('a guarded socket', () => {
  it('lets through what the guard admits, and nothing else', async () => {
    const { link, socket } = guarded();
    const heard: string[] = [];
    socket.on('message', (message: Buffer) => heard.push(message.toString()));
    socket.bind(5353, '224.0.0.251', () => socket.addMembership('224.0.0.251', '192.168.0.7'));
    await settle();
    for (const text of ['good', 'bad']) link.deliver(Buffer.from(text), origin.address);
    expect(heard).toEqual(['good']);
  });

  it.each<[string, Partial<UdpSocket>, (socket: GuardedSocket) => void, string]>([
    ['binding', { bind: throwing('no') }, (it) => it.bind(5353, '224.0.0.251', () => {}), 'broken: no'],
    ['joining', { addMembership: throwing('no') }, (it) => it.addMembership('a', 'b'), 'broken: no'],
    [
      'choosing',
      { setMulticastInterface: throwing('no') },
      (it) => it.setMulticastInterface('a'),
      'failed: no',
    ],
    ['limiting', { setMulticastTTL: throwing('no') }, (it) => it.setMulticastTTL(255), 'failed: no'],
    [
      'looping',
      { setMulticastLoopback: throwing('no') },
      (it) => it.setMulticastLoopback(true),
      'failed: no',
    ],
    [
      'sending',
      { send: throwing('no') },
      (it) => it.send(Buffer.from('x'), 0, 1, 1, 'a', () => {}),
      'failed: no',
    ],
  ])('tells of a failure in %s instead of throwing it', async (_what, inner, act, expected) => {
    const { socket, told } = guarded(undefined, inner);
    act(socket);
    await settle();
    expect(told).toEqual([expected]);
  });

  it('tells nothing of what was under way when it was closed', async () => {
    const { link, told, socket, send } = guarded();
    send();
    link.sendFails = 'EPERM';
    send();
    socket.addMembership('224.0.0.251', '192.168.0.7');
    link.joinFails = 'ENODEV';
    socket.addMembership('224.0.0.251', '192.168.0.7');
    socket.close();
    socket.close();
    send();
    await settle();
    await settle();
    expect(told).toEqual([]);
  });
});

describe('a transport', () => {
  it('closed because its group cannot be joined, leaves no timer of the library running', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    const link = new FakeLink();
    link.joinFails = 'ENODEV';
    const before = timers();
    const nothing = () => {};
    const transport = openTransport(
      link.socket('192.168.0.7'),
      { address: '192.168.0.7', netmask: '255.255.255.0' },
      { received: nothing, sent: nothing, failed: nothing, broken: () => transport.close() },
      new FakeClock(),
    );
    await settle();
    await settle();
    expect(timers()).toBe(before);
  });
});
