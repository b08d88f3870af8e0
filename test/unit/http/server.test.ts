import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { gone, say, send } from '../../../agent/http/reply.ts';
import { FaceServer } from '../../../agent/http/server.ts';
import { NarrowcastError } from '../../../agent/nix/error.ts';
import { portOf } from '../../e2e/harness/ports.ts';
import { type LogLines, logLines } from '../source/support/log-lines.ts';
import { ManualClock, turn } from '../source/support/manual-clock.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

interface Scene {
  readonly server: FaceServer;
  readonly port: number;
  readonly clock: ManualClock;
  readonly log: LogLines;
}

async function scene(handler: Handler, addresses: readonly string[] = ['127.0.0.1']): Promise<Scene> {
  const log = await logLines();
  const clock = new ManualClock();
  const server = new FaceServer(handler, log.log, 512, clock);
  onTestFinished(() => server.stop());
  return { server, port: await server.listen(addresses, 0), clock, log };
}

const hello: Handler = async (_, response) => void response.end('hello');

/** Sends a request; the answer's head, as soon as it is there. */
async function ask(port: number, path = '/', agent?: Agent): Promise<IncomingMessage> {
  const asked = httpRequest({ host: '127.0.0.1', port, path, ...(agent && { agent }) }).end();
  const [response] = await once(asked, 'response');
  return response;
}

function keepAlive(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return agent;
}

async function connected(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect(port, host);
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Waits for the line that every request ends with. */
async function logged({ log }: Scene, message: string): Promise<void> {
  while (!log.lines.some((line) => line.includes(`"${message}"`))) await turn();
}

describe('a server', () => {
  test('listens on both loopback addresses, at one port', async () => {
    const { port } = await scene(hello, ['127.0.0.1', '::1']);
    for (const host of ['127.0.0.1', '[::1]'])
      expect(await (await fetch(`http://${host}:${port}/`)).text()).toBe('hello');
  });

  test('takes no offence at a client that has left before its answer', async () => {
    const asked = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const here = await scene(async (_, response) => {
      asked.resolve();
      await once(response, 'close');
      left.resolve();
      say(response, 404, 'not here');
    });
    const socket = await connected(here.port);
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await asked.promise;
    socket.destroy();
    await left.promise;
    await logged(here, 'the client has left');
    expect([...here.log.messages('error'), ...here.log.messages('info')]).toEqual([]);
  });

  test('does without an address that this machine does not have', async () => {
    const { port } = await scene(hello, ['203.0.113.1', '127.0.0.1']);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello');
  });

  test('says that it has none', async () => {
    const { log } = await logLines();
    await expect(new FaceServer(hello, log).listen(['203.0.113.1'], 0)).rejects.toMatchObject({
      code: 'cannot-listen',
      message: expect.stringContaining('203.0.113.1'),
      cause: { code: 'EADDRNOTAVAIL' },
    });
  });

  test('says that a port is taken, and leaves none behind', async () => {
    const other = createServer().listen(0, '::1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const port = portOf(other);
    const { log } = await logLines();
    await expect(new FaceServer(hello, log).listen(['127.0.0.1', '::1'], port)).rejects.toMatchObject({
      code: 'cannot-listen',
      message: expect.stringContaining(`::1 port ${port}`),
      cause: { code: 'EADDRINUSE' },
    });
    const [error] = await once(connect(port, '127.0.0.1'), 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('keeps a connection for many requests', async () => {
    const { port } = await scene(hello);
    const agent = keepAlive();
    const ports = new Set<number | undefined>();
    for (let i = 0; i < 5; i++) {
      const response = await ask(port, '/', agent);
      ports.add(response.socket.localPort);
      expect(await textOf(response)).toBe('hello');
    }
    expect(ports.size).toBe(1);
  });

  test('writes a line for each request at debug', async () => {
    const here = await scene(hello);
    await (await fetch(`http://127.0.0.1:${here.port}/some/path`)).text();
    await logged(here, 'request');
    const line = here.log.lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'request');
    expect(line).toMatchObject({
      level: 'debug',
      method: 'GET',
      url: '/some/path',
      status: 200,
      complete: true,
    });
    expect(line.ms).toBeGreaterThanOrEqual(0);
  });

  test.for([
    ['a mistake of ours', new TypeError('a bug'), 'error', 'request failed'],
    ['what was thrown on purpose', new NarrowcastError('some-code', 'no'), 'info', 'not here'],
  ] as const)('answers 404 for %s, I1, and says so in the log', async ([_, error, level, message]) => {
    const here = await scene(() => Promise.reject(error));
    expect((await fetch(`http://127.0.0.1:${here.port}/`)).status).toBe(404);
    expect(here.log.messages(level)).toEqual([message]);
  });

  test('cuts an answer that fails after its head', async () => {
    const here = await scene(async (_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('some');
      throw new NarrowcastError('some-code', 'no');
    });
    await expect(ask(here.port).then(textOf)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(here.log.messages('info')).toEqual(['answer cut']);
  });

  test('cuts an answer that ends before its length, which a client would wait for', async () => {
    const here = await scene(async (_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      await send(response, pieces('some'));
    });
    await expect(ask(here.port).then(textOf)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(here.log.messages('error')).toEqual(['request failed']);
  });

  test('finds nothing wrong with a client that leaves', async () => {
    const left = Promise.withResolvers<void>();
    const here = await scene(async (_, response) => {
      const signal = gone(response);
      response.writeHead(200, { 'content-length': 100 }).write('some');
      await once(signal, 'abort');
      left.resolve();
      throw signal.reason;
    });
    (await ask(here.port)).destroy();
    await left.promise;
    await logged(here, 'request');
    expect([...here.log.messages('info'), ...here.log.messages('error')]).toEqual([]);
  });

  test('hides no mistake of ours behind a client that left', async () => {
    const here = await scene(async (_, response) => {
      response.writeHead(200).write('some');
      await once(gone(response), 'abort');
      throw new TypeError('a bug');
    });
    (await ask(here.port)).destroy();
    await logged(here, 'request failed');
  });

  test('survives what is no HTTP', async () => {
    const { port } = await scene(hello);
    for (const bytes of [
      '\0\0\0\0',
      'GET',
      '\x16\x03\x01\x02\x00',
      'GET / HTTP/9.9\r\n\r\n',
      `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
    ]) {
      const socket = await connected(port);
      socket.on('error', () => {}).resume();
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.end(bytes);
      await closed;
    }
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello');
  });
});

describe('a server that stops', () => {
  /** A handler that holds each request until the test lets it go. */
  function held(): { handler: Handler; arrived: Promise<void>; release: () => void } {
    const arrived = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const handler: Handler = async (_, response) => {
      arrived.resolve();
      await release.promise;
      response.end('hello');
    };
    return { handler, arrived: arrived.promise, release: release.resolve };
  }

  test('ends what is in flight, and its connection with it', async () => {
    const { handler, arrived, release } = held();
    const here = await scene(handler);
    const answer = ask(here.port, '/', keepAlive());
    await arrived;
    const stopped = here.server.stop();
    release();
    expect(await textOf(await answer)).toBe('hello');
    await stopped;
    expect(here.clock.pending).toBe(0);
  });

  test('takes no new connection, and closes idle ones at once', async () => {
    const { handler, arrived, release } = held();
    const here = await scene(handler);
    const idle = await connected(here.port);
    const idleClosed = once(idle.resume(), 'close');
    const answer = ask(here.port);
    await arrived;
    const stopped = here.server.stop();
    await idleClosed;
    const [error] = await once(connect(here.port, '127.0.0.1'), 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    release();
    await textOf(await answer);
    await stopped;
  });

  test('cuts what is still in flight after ten seconds', async () => {
    const { handler, arrived } = held();
    const here = await scene(handler);
    const failed = expect(ask(here.port)).rejects.toMatchObject({ code: 'ECONNRESET' });
    await arrived;
    let over = false;
    const stopped = here.server.stop().then(() => {
      over = true;
    });
    await here.clock.pass(9_999);
    expect(over).toBe(false);
    await here.clock.pass(1);
    await stopped;
    await failed;
  });

  test('has nothing to do when it never began, or has stopped', async () => {
    const { log } = await logLines();
    const never = new FaceServer(hello, log);
    await never.stop();
    const { server } = await scene(hello);
    await server.stop();
    await server.stop();
  });
});

describe('sending', () => {
  test('takes no more from its source than the client takes', async () => {
    const block = Buffer.alloc(256 * 1024);
    let taken = 0;
    const here = await scene(async (_, response) => {
      await send(
        response,
        endless(block, () => taken++),
      );
    });
    const response = await ask(here.port);
    response.pause();
    // Until the kernel's and the streams' buffers are full.
    for (let before = -1; before !== taken; ) {
      before = taken;
      for (let i = 0; i < 50; i++) await turn();
    }
    expect(taken).toBeGreaterThan(0);
    expect(taken * block.length).toBeLessThan(64 * 1024 * 1024);
    response.destroy();
    await logged(here, 'request');
  });

  test('cuts a client that takes nothing for five minutes', async () => {
    const clock = new ManualClock();
    const over = Promise.withResolvers<void>();
    const here = await scene(async (_, response) => {
      await send(response, endless(Buffer.alloc(4 * 1024 * 1024)), clock);
      over.resolve();
    });
    const response = await ask(here.port);
    response.pause();
    await clock.timer(300_000);
    // It may take some more before its buffers are full.
    for (let i = 0; i < 50; i++) await turn();
    await clock.timer(300_000);
    await clock.pass(300_000);
    await over.promise;
    expect(clock.pending).toBe(0);
    response.destroy();
  });

  test('forgets how long it waited once the client has taken everything', async () => {
    const clock = new ManualClock();
    const over = Promise.withResolvers<void>();
    const here = await scene(async (_, response) => {
      await send(response, blocks(20, Buffer.alloc(1024 * 1024)), clock);
      over.resolve();
    });
    const response = await ask(here.port);
    await clock.timer(300_000);
    expect(await textOf(response)).toHaveLength(20 * 1024 * 1024);
    await over.promise;
    expect(clock.pending).toBe(0);
  });

  test('closes its source when the client leaves', async () => {
    let closed = false;
    const over = Promise.withResolvers<void>();
    const here = await scene(async (_, response) => {
      await send(
        response,
        endless(Buffer.alloc(65_536), undefined, () => {
          closed = true;
        }),
      );
      over.resolve();
    });
    (await ask(here.port)).destroy();
    await over.promise;
    expect(closed).toBe(true);
  });

  test('knows of a client that had gone before anybody asked', async () => {
    const seen = Promise.withResolvers<boolean>();
    const here = await scene(async (_, response) => {
      if (!response.closed) await once(response, 'close');
      seen.resolve(gone(response).aborted);
    });
    const socket = await connected(here.port);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n', () => socket.destroy());
    expect(await seen.promise).toBe(true);
  });
});

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function* blocks(count: number, block: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield block;
}

async function* endless(
  block: Uint8Array,
  taken: () => void = () => {},
  closed: () => void = () => {},
): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      taken();
      yield block;
    }
  } finally {
    closed();
  }
}
