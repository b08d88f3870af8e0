import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { maxNarinfoBytes } from '../../../agent/nix/narinfo.ts';
import type { HttpSource, HttpSourceOptions } from '../../../agent/source/http-source.ts';
import type { SourceBody } from '../../../agent/source/source.ts';
import { freePort, portOf } from '../../e2e/harness/ports.ts';
import { collected } from '../cache/support/sample.ts';
import { cacheInfoText, narinfoPath, narinfoText, sample } from './support/cache-files.ts';
import { faultOf, sourceErrorOf } from './support/fault-of.ts';
import { httpSource } from './support/http-source.ts';
import { localhostCertificate } from './support/localhost-certificate.ts';
import { ManualClock } from './support/manual-clock.ts';
import { byPath, hang, type Reply, reset, ScriptedServer, text } from './support/scripted-server.ts';

const never = new AbortController().signal;
const path = sample();
const { hashPart } = path.narinfo.storePath;
const file = narinfoPath(path);
const nar = 'nar/some.nar';
const lookupTimeout = 20_000;
const stalledTimeout = 30_000;

interface Scene {
  readonly server: ScriptedServer;
  readonly source: HttpSource;
  readonly clock: ManualClock;
}

async function scene(reply: Reply, options: Partial<HttpSourceOptions> = {}): Promise<Scene> {
  const clock = new ManualClock();
  const server = await ScriptedServer.start(reply);
  onTestFinished(() => server.stop());
  return { server, source: httpSource(server.url, { clock, ...options }), clock };
}

/** Sends a part of the answer and keeps its end back. */
function begin(part: string, headers: Record<string, number | string> = { 'content-length': 1_000 }): Reply {
  return (_, response) => void response.writeHead(200, headers).write(part);
}

/** Hands the response to the test. */
function handedOver(): { reply: Reply; response: Promise<ServerResponse> } {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  return { reply: (_, response) => resolve(response), response: promise };
}

async function bytesOf(body: Promise<SourceBody>): Promise<Buffer> {
  return await collected((await body).chunks);
}

/** Sends something; resolves when the source has heard it. */
async function heardBy(clock: ManualClock, send: () => void): Promise<void> {
  const heard = clock.looked();
  send();
  await heard;
}

/** The beginning of an answer, and then the connection's end. */
function cutAfter(part: string, headers: Record<string, number> = {}): Reply {
  return (_, response) => {
    response.writeHead(200, headers).write(part, () => response.destroy());
  };
}

describe('no answer', () => {
  test('refused: unreachable', async () => {
    const source = httpSource(new URL(`http://127.0.0.1:${await freePort()}`));
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('unreachable');
    expect(await faultOf(source.openNar(nar, 0, never))).toBe('unreachable');
  });

  test('a name that nobody knows: unreachable', async () => {
    const source = httpSource(new URL('http://nobody.invalid'));
    expect(await faultOf(source.probe(never))).toBe('unreachable');
  });

  test('a certificate that nobody vouches for: unreachable', async () => {
    const server = await ScriptedServer.start(text(200, cacheInfoText), { tls: localhostCertificate });
    onTestFinished(() => server.stop());
    expect(await faultOf(httpSource(server.url).probe(never))).toBe('unreachable');
    expect(server.requests).toHaveLength(0);
  });

  test('http where https should be: unreachable', async () => {
    const { server } = await scene(text(200, cacheInfoText));
    const source = httpSource(new URL(`https://127.0.0.1:${server.port}`));
    expect(await faultOf(source.probe(never))).toBe('unreachable');
  });

  test('something else than HTTP: broken', async () => {
    const server = createServer(
      (socket) => void socket.on('error', () => {}).end('220 mail.example ESMTP\r\n'),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const source = httpSource(new URL(`http://127.0.0.1:${portOf(server)}`));
    expect(await faultOf(source.probe(never))).toBe('broken');
  });

  test.for([
    ['before the answer', reset],
    ['in the middle', cutAfter('12345', { 'content-length': 10 })],
    ['in the middle of a chunked answer', cutAfter('12345')],
  ] as const)('cut %s: broken', async ([_, reply]) => {
    const { source } = await scene(reply);
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('broken');
    expect(await faultOf(bytesOf(source.openNar(nar, 0, never)))).toBe('broken');
  });
});

describe('silence', () => {
  test('a narinfo that does not come is waited for as long as said, and no longer', async () => {
    const { server, source, clock } = await scene(hang);
    const asked = faultOf(source.narinfo(hashPart, never));
    await server.wasAsked(file);
    await clock.pass(lookupTimeout - 1);
    expect(server.sockets.size).toBe(1);
    await clock.pass(1);
    expect(await asked).toBe('silent');
    await server.until(() => server.sockets.size === 0);
  });

  test('a narinfo that stops in its middle is waited for from there', async () => {
    const { reply, response } = handedOver();
    const { source, server, clock } = await scene(reply);
    const asked = faultOf(source.narinfo(hashPart, never));
    const answer = await response;
    await clock.pass(lookupTimeout - 1);
    await heardBy(clock, () => answer.writeHead(200).write('StorePath'));
    await clock.pass(lookupTimeout - 1);
    expect(server.sockets.size).toBe(1);
    expect(clock.pending).toBe(1);
    await clock.pass(1);
    expect(clock.pending).toBe(0);
    expect(await asked).toBe('silent');
  });

  test('a narinfo that comes in drops is given up after twice the time', async () => {
    const { reply, response } = handedOver();
    const { source, clock, server } = await scene(reply);
    const asked = faultOf(source.narinfo(hashPart, never));
    const answer = await response;
    for (let drop = 0; drop < 4; drop++) {
      await heardBy(clock, () => answer.write('.'));
      expect(clock.pending).toBe(1);
      await clock.pass(lookupTimeout / 2);
    }
    expect(clock.pending).toBe(0);
    expect(await asked).toBe('silent');
    await server.until(() => server.sockets.size === 0);
  });

  test('a narinfo is waited for while a NAR of the same source flows', async () => {
    const narResponse = handedOver();
    const narinfoResponse = handedOver();
    const { source, clock, server } = await scene(
      byPath({ [`/${nar}`]: narResponse.reply, [file]: narinfoResponse.reply }),
    );
    const body = source.openNar(nar, 0, never);
    const flowing = await narResponse.response;
    flowing.writeHead(200).write('first');
    const chunks = (await body).chunks[Symbol.asyncIterator]();
    await chunks.next();

    const asked = source.narinfo(hashPart, never);
    await server.wasAsked(file);
    await clock.pass(lookupTimeout - 1_000);
    flowing.write('second');
    await chunks.next();
    await clock.pass(lookupTimeout - 1_000);
    (await narinfoResponse.response).end(narinfoText(path));
    expect(await asked).toEqual(path.narinfo);
    flowing.end();
  });

  test('a NAR may be silent for its time before and between its bytes', async () => {
    const { reply, response } = handedOver();
    const { source, clock } = await scene(reply);
    const opening = source.openNar(nar, 0, never);
    const answer = await response;
    await clock.pass(stalledTimeout - 1);
    answer.writeHead(200, { 'content-length': 3 }).write('a');
    const chunks = (await opening).chunks[Symbol.asyncIterator]();
    expect(await chunks.next()).toMatchObject({ done: false });
    const second = chunks.next();
    await clock.pass(stalledTimeout - 1);
    answer.write('b');
    expect(await second).toMatchObject({ done: false });
    const third = faultOf(chunks.next());
    await clock.pass(stalledTimeout);
    await clock.pass(stalledTimeout);
    expect(await third).toBe('silent');
  });

  test('a NAR that goes on for an impatient reader may pause as long as it has flowed, or an eighth of the time', async () => {
    const { reply, response } = handedOver();
    const { source, clock } = await scene(reply);
    const opening = source.openNar(nar, 5, never, { impatient: true });
    const answer = await response;
    await clock.pass(stalledTimeout - 1);
    answer.writeHead(206, { 'content-range': 'bytes 5-999/1000' }).flushHeaders();
    const chunks = (await opening).chunks[Symbol.asyncIterator]();
    const pauses = [stalledTimeout / 8 - 1, stalledTimeout / 8 - 1, stalledTimeout / 4 - 3];
    for (const pause of pauses) {
      const next = chunks.next();
      await clock.pass(pause);
      answer.write('b');
      expect(await next).toMatchObject({ done: false });
    }
    const flowed = pauses.reduce((sum, pause) => sum + pause);
    const last = faultOf(chunks.next());
    await clock.pass(flowed - 1);
    expect(clock.pending).toBe(1);
    await clock.pass(1);
    expect(await last).toBe('stalled');
    expect(clock.pending).toBe(0);
  });

  test.for([0, 5])(
    'asked from byte %d on, a NAR that begins at its first may pause as long as ever',
    async (asked) => {
      const { reply, response } = handedOver();
      const { source, clock } = await scene(reply);
      const opening = source.openNar(nar, asked, never, { impatient: true });
      (await response).writeHead(200).write('a');
      const chunks = (await opening).chunks[Symbol.asyncIterator]();
      await chunks.next();
      const next = faultOf(chunks.next());
      await clock.pass(stalledTimeout - 1);
      expect(clock.pending).toBe(1);
      await clock.pass(1);
      expect(await next).toBe('silent');
    },
  );

  test('a reader that takes its time does not make the source silent', async () => {
    const { reply, response } = handedOver();
    const { source, clock } = await scene(reply);
    const opening = source.openNar(nar, 0, never);
    const answer = await response;
    answer.write('a');
    const chunks = (await opening).chunks[Symbol.asyncIterator]();
    await chunks.next();
    await clock.pass(20 * stalledTimeout);
    const next = chunks.next();
    answer.end('b');
    expect(await next).toMatchObject({ done: false });
  });

  test('a NAR that nobody begins to read is let go', async () => {
    const { source, server, clock } = await scene(begin('a', {}));
    await source.openNar(nar, 0, never);
    await clock.pass(stalledTimeout);
    await server.until(() => server.sockets.size === 0);
    expect(clock.pending).toBe(0);
  });

  test.for(['/nix-cache-info', `/${nar}`])(
    'a 404 whose page never ends is as good as silence: %s',
    async (asked) => {
      const { source, server, clock } = await scene(
        (_, response) => void response.writeHead(404).write('<p>'),
      );
      const fault = faultOf(asked === `/${nar}` ? source.openNar(nar, 0, never) : source.probe(never));
      await clock.looked();
      await clock.pass(stalledTimeout - 1);
      expect(server.count(asked)).toBe(1);
      await clock.pass(stalledTimeout);
      expect(await fault).toBe('silent');
      await server.until(() => server.sockets.size === 0);
    },
  );

  test('no timer is left behind by an answer', async () => {
    const { source, clock } = await scene(
      byPath({ [file]: text(200, narinfoText(path)), [`/${nar}`]: text(200, 'nar') }),
    );
    await source.narinfo(hashPart, never);
    await bytesOf(source.openNar(nar, 0, never));
    await faultOf(source.openNar('nar/none', 0, never));
    await faultOf(source.probe(never));
    expect(clock.pending).toBe(0);
  });
});

describe('what a status means', () => {
  test.for([400, 401, 403, 404, 410, 451])('%i: not here', async (status) => {
    const { source } = await scene(text(status));
    expect(await source.narinfo(hashPart, never)).toBeUndefined();
    expect(await source.openFile('log/some', never)).toBeUndefined();
    expect(await faultOf(source.openNar(nar, 0, never))).toBe('gone');
    expect(await faultOf(source.probe(never))).toBe('captive');
  });

  test.for([408, 425, 429, 500, 501, 502, 503, 504])('%i: unavailable', async (status) => {
    const { source } = await scene(text(status));
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('unavailable');
    expect(await faultOf(source.openNar(nar, 0, never))).toBe('unavailable');
    expect(await faultOf(source.openFile('log/some', never))).toBe('unavailable');
    expect(await faultOf(source.probe(never))).toBe('unavailable');
  });

  test.for([407, 511])('%i: captive', async (status) => {
    const { source } = await scene(text(status));
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('captive');
  });

  test.for([204, 206, 304])('%i for a narinfo: wrong', async (status) => {
    const { source } = await scene((_, response) => void response.writeHead(status).end());
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('wrong');
  });

  test.for([
    ['7', 7_000],
    ['0', 0],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['soon', undefined],
    ['9'.repeat(309), undefined], // more than a number holds
  ] as const)('Retry-After: %.40s', async ([value, ms]) => {
    const { source } = await scene(text(503, '', { 'retry-after': value }));
    expect((await sourceErrorOf(source.narinfo(hashPart, never))).retryAfter).toBe(ms);
  });

  test('Retry-After may be a date', async () => {
    const { source } = await scene(
      text(503, '', { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() }),
    );
    const { retryAfter = 0 } = await sourceErrorOf(source.narinfo(hashPart, never));
    expect(retryAfter).toBeGreaterThan(3_500_000);
    expect(retryAfter).toBeLessThanOrEqual(3_600_000);
  });
});

describe('another content than was asked for', () => {
  const page = '<!DOCTYPE html><title>Log in</title>\n';

  test('a page: captive', async () => {
    const { source } = await scene(text(200, page));
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('captive');
    expect(await faultOf(source.probe(never))).toBe('captive');
  });

  test('a narinfo of 64 KiB is read, a byte more is wrong', async () => {
    const full = narinfoText(path);
    const padded = (bytes: number) => `${full}${'\n'.repeat(10)}X: ${'x'.repeat(bytes - full.length - 14)}\n`;
    const { source, server } = await scene(text(200, padded(maxNarinfoBytes)));
    expect(await source.narinfo(hashPart, never)).toMatchObject({ storePath: path.narinfo.storePath });
    server.reply = text(200, padded(maxNarinfoBytes + 1));
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('wrong');
  });

  test('an endless narinfo is cut off soon', async () => {
    const endless: Reply = (request, response) => {
      const block = Buffer.alloc(65_536, 'Key: value\n');
      const more = () => {
        while (!request.socket.destroyed && response.write(block));
      };
      response.on('drain', more);
      more();
    };
    const { source, server } = await scene(endless);
    const [socket] = await Promise.all([
      server.until(() => server.sockets.size === 1).then(() => [...server.sockets][0]),
      faultOf(source.narinfo(hashPart, never)).then((fault) => expect(fault).toBe('wrong')),
    ]);
    await server.until(() => server.sockets.size === 0);
    // What the kernel takes on its own may be some megabytes.
    expect(socket?.bytesWritten).toBeLessThan(32 * 1024 * 1024);
  });

  test('a narinfo that was compressed unasked is read', async () => {
    const { source, server } = await scene((_, response) => {
      response.writeHead(200, { 'content-encoding': 'GZIP' }).end(gzipSync(narinfoText(path)));
    });
    expect(await source.narinfo(hashPart, never)).toEqual(path.narinfo);
    expect(server.requests[0]?.headers['accept-encoding']).toBe('identity');
  });

  test('a compressed 100 MB narinfo: wrong', async () => {
    const bomb = gzipSync(Buffer.alloc(100_000_000));
    const { source } = await scene(
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    );
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('wrong');
  });

  test('bytes that are not compressed as they say: wrong', async () => {
    const { source } = await scene(text(200, narinfoText(path), { 'content-encoding': 'gzip' }));
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('wrong');
    expect(await faultOf(bytesOf(source.openNar(nar, 0, never)))).toBe('wrong');
  });

  test.for([
    ['a compression that nobody knows', { 'content-encoding': 'rot13' }, 0, 200],
    ['no Content-Range', {}, 10, 206],
    ['the beginning instead of the rest', { 'content-range': 'bytes 0-9/20' }, 10, 206],
    ['another unit', { 'content-range': 'items 10-19/20' }, 10, 206],
    ['a compressed part', { 'content-range': 'bytes 10-19/20', 'content-encoding': 'gzip' }, 10, 206],
    ['a number beyond all measure', { 'content-range': `bytes 10-19/${'9'.repeat(400)}` }, 10, 206],
  ] as const)('%s: wrong, and its connection is freed', async ([_, headers, offset, status]) => {
    const { source, server } = await scene(
      (_, response) => void response.writeHead(status, headers).write('some'),
    );
    // More often than there are connections.
    for (let i = 0; i < 40; i++) expect(await faultOf(source.openNar(nar, offset, never))).toBe('wrong');
    await server.until(() => server.sockets.size === 0);
  });

  test('a part that ends before the file does: broken, after its bytes', async () => {
    const { source } = await scene((_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 10-14/20', 'content-length': 5 }).end('abcde');
    });
    const body = await source.openNar(nar, 10, never);
    const got: Uint8Array[] = [];
    const read = async () => {
      for await (const chunk of body.chunks) got.push(chunk);
    };
    expect(await faultOf(read())).toBe('broken');
    expect(String(Buffer.concat(got))).toBe('abcde');
  });

  test('a part that goes on behind the file: wrong', async () => {
    const { source } = await scene((_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 10-19/20' }).end('a'.repeat(50));
    });
    expect(await faultOf(bytesOf(source.openNar(nar, 10, never)))).toBe('wrong');
  });

  test('without a length, the end of the connection is the end', async () => {
    const { source } = await scene((_, response) => {
      response.useChunkedEncodingByDefault = false;
      response.writeHead(200, { connection: 'close' }).end('abc');
    });
    const body = await source.openNar(nar, 0, never);
    expect(body.size).toBeUndefined();
    expect(String(await collected(body.chunks))).toBe('abc');
  });
});

describe('connections', () => {
  test('are kept', async () => {
    const { source, server } = await scene(text(200, narinfoText(path)));
    for (let i = 0; i < 20; i++) await source.narinfo(hashPart, never);
    // A question right behind an answer may find its connection not yet free.
    expect(new Set(server.requests.map(({ socket }) => socket)).size).toBeLessThanOrEqual(2);
  });

  test('for lookups do not wait for NARs', async () => {
    const { source, server } = await scene(
      byPath({ [`/${nar}`]: begin('a', {}), [file]: text(200, narinfoText(path)) }),
    );
    const abort = new AbortController();
    const nars = Array.from({ length: 40 }, () => source.openNar(nar, 0, abort.signal).catch(() => {}));
    await server.wasAsked(`/${nar}`, 32);
    expect(await source.narinfo(hashPart, never)).toEqual(path.narinfo);
    expect(server.count(`/${nar}`)).toBe(32);
    abort.abort();
    await Promise.all(nars);
  });

  test('are cut, with what was in flight, when the network is another', async () => {
    const { source, server } = await scene(hang);
    const asked = faultOf(source.narinfo(hashPart, never));
    await server.wasAsked(file);
    await source.dropConnections();
    expect(await asked).toBe('broken');
    server.reply = text(200, narinfoText(path));
    expect(await source.narinfo(hashPart, never)).toEqual(path.narinfo);
  });
});

test('I10: a question carries the names of the agents that it came through', async () => {
  const { source, server } = await scene(text(404));
  await source.narinfo(hashPart, never);
  await source.narinfo(hashPart, never, '1.1 narrowcast-pi');
  expect(server.requests.map(({ headers }) => headers.via)).toEqual([
    '1.1 narrowcast-test',
    '1.1 narrowcast-pi, 1.1 narrowcast-test',
  ]);
  expect(server.requests[0]?.headers['user-agent']).toBe('narrowcast/test');
});
