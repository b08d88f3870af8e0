import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { ask, serveLan } from './lan-face.ts';

/** For what happens at once, unless the machine is busy. */
const soon = { timeout: 10_000 };

/** A connection that is there; what it has been told, and whether it is over. */
async function open(port: number, from = '127.0.0.1'): Promise<{ socket: Socket; said: () => string }> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  let said = '';
  socket.on('data', (data) => {
    said += data;
  });
  await once(socket, 'connect');
  return { socket, said: () => said };
}

function held() {
  const waiting: (() => void)[] = [];
  return {
    get count() {
      return waiting.length;
    },
    pullThrough: (_: unknown, response: { writeHead(status: number): { end(): unknown } }) =>
      new Promise<void>((resolve) => {
        waiting.push(() => {
          response.writeHead(404).end();
          resolve();
        });
      }),
    letGo: () => {
      for (const answer of waiting.splice(0)) answer();
    },
  };
}

it('one address is answered 32 requests at a time, and others meanwhile', async () => {
  const door = held();
  const { port } = await serveLan({ pullThrough: door.pullThrough });
  const path = '/nar/held.nar';
  const first = Array.from({ length: 32 }, () => ask(port, path));
  await expect.poll(() => door.count, soon).toBe(32);
  const refused = await ask(port, path);
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);

  const other = await open(port, '127.0.0.2');
  other.socket.write('GET /nix-cache-info HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(other.said, soon).toMatch(/^HTTP\/1.1 200 OK/);

  door.letGo();
  expect((await Promise.all(first)).map(({ status }) => status)).toEqual(first.map(() => 404));
  await expect.poll(async () => (await ask(port, '/nix-cache-info')).status, soon).toBe(200);
});

it('all together are answered no more requests than allowed, however they are sent', async () => {
  const door = held();
  const { port } = await serveLan({ pullThrough: door.pullThrough, maxRequests: 40 });
  for (const from of ['127.0.0.1', '127.0.0.2', '127.0.0.3']) {
    const { socket } = await open(port, from);
    socket.write('GET /nar/held.nar HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50));
  }
  await expect.poll(() => door.count, soon).toBe(40);
  expect((await ask(port, '/nix-cache-info')).status).toBe(503);
  door.letGo();
  await expect.poll(async () => (await ask(port, '/nix-cache-info')).status, soon).toBe(200);
  expect(door.count).toBe(0);
});

it('who opens connections and says nothing, or says it slowly, keeps nobody out', async () => {
  const { port, keep } = await serveLan({}, 8);
  const kept = await keep(['shared']);
  const honest = await open(port, '127.0.0.3');
  const lazy = await Promise.all(Array.from({ length: 30 }, () => open(port, '127.0.0.2')));
  for (const { socket } of lazy) if (!socket.destroyed) socket.write('GET /nix-cache-info HTTP/1.1\r\nHo');
  await expect.poll(() => lazy.filter(({ socket }) => socket.closed).length, soon).toBe(23);

  const { hashPart } = kept.narinfo.storePath;
  for (let n = 0; n < 20; n += 1) expect((await ask(port, `/${hashPart}.narinfo`)).status).toBe(200);
  honest.socket.write(`GET /${hashPart}.narinfo HTTP/1.1\r\nHost: x\r\n\r\n`);
  await expect.poll(honest.said, soon).toMatch(/^HTTP\/1.1 200 OK/);
});

it('a connection that waits for its answer is not closed for a newcomer', async () => {
  const door = held();
  const { port } = await serveLan({ pullThrough: door.pullThrough }, 2);
  const asking = ask(port, '/nar/held.nar');
  await expect.poll(() => door.count, soon).toBe(1);
  for (let n = 2; n < 7; n += 1) await open(port, `127.0.0.${n}`);
  door.letGo();
  expect((await asking).status).toBe(404);
});

it('a body that nobody wants ends the connection', async () => {
  const { port } = await serveLan();
  const { socket, said } = await open(port);
  socket.write('PUT /nar/x.nar HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nsome');
  await once(socket, 'close');
  expect(said()).toMatch(/^HTTP\/1.1 405 /);
});
