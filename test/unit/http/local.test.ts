import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseNarinfo } from '../../../agent/nix/narinfo.ts';
import { store } from '../cache/support/sample.ts';
import { openCache, temporaryDirectory } from '../cache/support/temporary.ts';
import { having } from '../relay/support/lookup-scene.ts';
import {
  cacheFiles,
  narinfoPath,
  type Sample,
  signedSample,
  storeDir,
} from '../source/support/cache-files.ts';
import { turn } from '../source/support/manual-clock.ts';
import { hang, type Reply, reset, text } from '../source/support/scripted-server.ts';
import { ask } from './lan-face.ts';
import { type LocalScene, localScene } from './local-scene.ts';

/** Where this face has the NAR. */
function narPath({ narinfo, narHash }: Sample, extension = ''): string {
  return `/nar/${narinfo.storePath.hashPart}-${narHash}.nar${extension}`;
}

/** An upstream with one path, and the path. */
async function withPath(options: Parameters<typeof signedSample>[1] = { compression: 'zstd' }): Promise<{
  scene: LocalScene;
  path: Sample;
  nar: Buffer;
  reply: Reply;
}> {
  const scene = await localScene();
  const path = signedSample(scene.key, options);
  const nar = options.compression === 'zstd' ? zstdDecompressSync(path.file) : path.file;
  const reply = having(path);
  return { scene, path, nar, reply };
}

describe('nix-cache-info', () => {
  test('is always there, with no network and no cache at all', async () => {
    const scene = await localScene();
    scene.network.online = false;
    const { status, headers, body } = await ask(scene.port, '/nix-cache-info');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/x-nix-cache-info');
    expect(String(body)).toBe(`StoreDir: ${storeDir}\nWantMassQuery: 1\nPriority: 30\n`);
  });
});

describe('a narinfo', () => {
  test('tells of the decoded NAR, and nothing that nobody has checked', async () => {
    const { scene, path, reply } = await withPath();
    const files = cacheFiles([path]);
    await scene.upstream('cache', (request, response) => {
      if (request.url !== narinfoPath(path)) return reply(request, response);
      const whole = `${files.get(narinfoPath(path))}Deriver: ${'0'.repeat(32)}-x.drv\nFileSize: 1\nSystem: x\nSig: garbage\nCA: false\n`;
      text(200, whole)(request, response);
    });
    const { status, headers, body } = await ask(scene.port, narinfoPath(path));
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/x-nix-narinfo',
      'content-length': String(body.length),
    });
    expect(String(body)).toMatch(/^[^\r]+[^\n]\n$/);
    expect(String(body)).not.toMatch(/FileHash|FileSize|System|garbage|CA:/);
    const { storePath, narHash, narSize, references, signatures } = path.narinfo;
    expect(parseNarinfo(String(body), storeDir)).toEqual({
      storePath,
      narHash,
      narSize,
      references,
      signatures,
      deriver: `${'0'.repeat(32)}-x.drv`,
      url: narPath(path).slice(1),
      compression: 'none',
      extra: [],
    });
  });

  test('is the same by HEAD, without its body', async () => {
    const { scene, path, reply } = await withPath();
    await scene.upstream('cache', reply);
    const get = await ask(scene.port, narinfoPath(path));
    const head = await ask(scene.port, narinfoPath(path), { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.body).toHaveLength(0);
    expect(head.headers['content-length']).toBe(get.headers['content-length']);
  });

  test('that nobody has is 404, at once where there is no network', async () => {
    const { scene, path } = await withPath();
    expect((await ask(scene.port, narinfoPath(path))).status).toBe(404);
    expect((await ask(scene.port, narinfoPath(path), { method: 'HEAD' })).status).toBe(404);
    await scene.upstream('cache', hang);
    scene.network.online = false;
    expect((await ask(scene.port, narinfoPath(path))).status).toBe(404);
  });

  test.for<[string, Reply]>([
    ['400', text(400)],
    ['403', text(403)],
    ['500', text(500)],
    ['503 with Retry-After', text(503, '', { 'retry-after': '1' })],
    ['429', text(429, '', { 'retry-after': '3600' })],
    ['511', text(511)],
    ['204', (_, response) => void response.writeHead(204).end()],
    ['a page', text(200, '<!DOCTYPE html>')],
    ['an empty answer', text(200)],
    ['a redirect to a login', text(302, '', { location: 'http://login.example/' })],
    ['a reset', reset],
    ['silence', hang],
  ])('I1: is 404 when all that an upstream has for it is %s', async ([_, reply]) => {
    const { scene, path } = await withPath();
    const { server } = await scene.upstream('cache', reply);
    const asked = ask(scene.port, narinfoPath(path));
    await server.wasAsked(narinfoPath(path));
    let answered = false;
    void asked.then(() => {
      answered = true;
    });
    for (; !answered; await turn()) await scene.clock.pass(1_000);
    expect((await asked).status).toBe(404);
  });

  test('lets the references be looked up ahead', async () => {
    const scene = await localScene();
    const leaf = signedSample(scene.key);
    const root = signedSample(scene.key, { references: [leaf] });
    const { server } = await scene.upstream('cache', having(leaf, root));
    await ask(scene.port, narinfoPath(root));
    await server.wasAsked(narinfoPath(leaf));
    expect((await ask(scene.port, narinfoPath(leaf))).status).toBe(200);
    expect(server.count(narinfoPath(leaf))).toBe(1);
  });
});

describe('a NAR', () => {
  test.for(['none', 'gzip', 'zstd'] as const)('that was %s is decoded, whole', async (compression) => {
    const contents = Buffer.alloc(300_000, 'a NAR ');
    const { scene, path, reply } = await withPath({ compression, contents });
    await scene.upstream('cache', reply);
    const { status, headers, body } = await ask(scene.port, narPath(path));
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'application/x-nix-nar',
      'content-length': String(path.narinfo.narSize),
      'accept-ranges': 'bytes',
    });
    expect(body).toHaveLength(path.narinfo.narSize);
    expect(body.includes(contents)).toBe(true);
  });

  test('is the same by HEAD, without its body and without a question for it', async () => {
    const { scene, path, reply } = await withPath();
    const { server } = await scene.upstream('cache', reply);
    const head = await ask(scene.port, narPath(path), { method: 'HEAD', headers: { range: 'bytes=10-' } });
    expect(head).toMatchObject({ status: 206, body: Buffer.alloc(0) });
    expect(head.headers).toMatchObject({
      'content-length': String(path.narinfo.narSize - 10),
      'content-range': `bytes 10-${path.narinfo.narSize - 1}/${path.narinfo.narSize}`,
    });
    expect(server.count(`/${path.narinfo.url}`)).toBe(0);
  });

  test('is given in any part that is asked for', async () => {
    const dir = await temporaryDirectory();
    const cache = await openCache({ dir });
    const scene = await localScene({ cache });
    const path = signedSample(scene.key, { compression: 'zstd' });
    await store(cache, path);
    const nar = zstdDecompressSync(path.file);
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    const get = async (range: string) => {
      const asked = request({
        host: '127.0.0.1',
        port: scene.port,
        path: narPath(path),
        agent,
        headers: { range },
      }).end();
      const [response] = await once(asked, 'response');
      return {
        status: response.statusCode,
        range: response.headers['content-range'],
        body: await buffer(response),
      };
    };
    const at = fc.integer({ min: 0, max: nar.length - 1 });
    const wanted = fc.oneof(
      at.map((start) => ({ header: `bytes=${start}-`, start, end: nar.length })),
      fc.tuple(at, at).map(([a, b]) => {
        const [start, last] = a < b ? [a, b] : [b, a];
        return { header: `bytes=${start}-${last}`, start, end: last + 1 };
      }),
      at.map((short) => ({ header: `bytes=-${short + 1}`, start: nar.length - short - 1, end: nar.length })),
    );
    await fc.assert(
      fc.asyncProperty(wanted, async ({ header, start, end }) => {
        expect(await get(header)).toEqual({
          status: 206,
          range: `bytes ${start}-${end - 1}/${nar.length}`,
          body: nar.subarray(start, end),
        });
      }),
      { numRuns: 50 },
    );
    expect(await get(`bytes=${nar.length}-`)).toMatchObject({ status: 416, range: `bytes */${nar.length}` });
    expect((await get('bytes=nonsense')).status).toBe(200);
  });

  test('means the same to an agent that never gave its URL out', async () => {
    const { scene, path, reply, nar } = await withPath();
    const { server } = await scene.upstream('cache', reply);
    expect((await ask(scene.port, narPath(path))).body).toEqual(nar);
    expect(server.asked).toEqual([narinfoPath(path), `/${path.narinfo.url}`]);
  });

  test('is 404 under any other name', async () => {
    const { scene, path, reply } = await withPath();
    const { server } = await scene.upstream('cache', reply);
    const other = signedSample(scene.key);
    const { hashPart } = path.narinfo.storePath;
    for (const url of [
      narPath({ ...path, narHash: other.narHash }),
      narPath(other),
      narPath(path, '.xz'),
      narPath(path, '.bz2'),
      `${narPath(path)}?x=1`,
      `/nar/${hashPart}.nar`,
      `/nar/${hashPart}-${'z'.repeat(52)}.nar`,
      `/${path.narinfo.url}`,
    ])
      expect((await ask(scene.port, url)).status, url).toBe(404);
    expect(server.count(`/${path.narinfo.url}`)).toBe(0);
  });

  test.for<[string, Reply]>([
    ['gone', text(404)],
    ['something else', text(200, 'not a NAR')],
    ['forbidden', text(403)],
  ])('that is %s at its only source is 404', async ([_, reply]) => {
    const { scene, path } = await withPath();
    const files = having(path);
    const { server } = await scene.upstream('cache', (request, response) =>
      (request.url === `/${path.narinfo.url}` ? reply : files)(request, response),
    );
    expect((await ask(scene.port, narPath(path))).status).toBe(404);
    expect(server.count(`/${path.narinfo.url}`)).toBeGreaterThan(0);
  });

  test('whose client leaves is asked for no longer', async () => {
    const { scene, path, reply } = await withPath({ contents: Buffer.alloc(8_000_000) });
    const { server } = await scene.upstream('cache', (request, response) => {
      if (request.url !== `/${path.narinfo.url}`) return reply(request, response);
      response.writeHead(200, { 'content-length': path.file.length }).write(path.file.subarray(0, 1_000_000));
    });
    const socket = connect(scene.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`GET ${narPath(path)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, 'data');
    const [upstream] = server.requests.slice(-1).map((request) => request.socket);
    socket.destroy();
    await server.until(() => upstream?.destroyed === true);
    expect(scene.log.messages('error')).toEqual([]);
  });
});

describe('a NAR that only Nix can decode', () => {
  async function opaque(chunked = false) {
    const scene = await localScene();
    const made = signedSample(scene.key);
    const path: Sample = {
      ...made,
      narinfo: { ...made.narinfo, compression: 'bzip2' },
      file: Buffer.from('bytes that only Nix can read'),
    };
    const files = having(path);
    const { source } = await scene.upstream('cache', (request, response) => {
      if (!chunked || request.url !== `/${path.narinfo.url}`) return files(request, response);
      response.write(path.file.subarray(0, 5));
      response.end(path.file.subarray(5));
    });
    return { scene, path, source };
  }

  test('is told of and given as it is', async () => {
    const { scene, path } = await opaque();
    const narinfo = parseNarinfo(String((await ask(scene.port, narinfoPath(path))).body), storeDir);
    expect(narinfo).toMatchObject({ compression: 'bzip2', url: narPath(path, '.bz2').slice(1) });
    expect(narinfo.fileHash).toBeUndefined();
    const { status, headers, body } = await ask(scene.port, narPath(path, '.bz2'));
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'accept-ranges': 'bytes', 'content-length': String(path.file.length) });
    expect(body).toEqual(path.file);
    expect((await ask(scene.port, narPath(path, '.bz2'), { method: 'HEAD' })).status).toBe(200);
  });

  test('goes on where it was cut', async () => {
    const { scene, path } = await opaque();
    const { status, headers, body } = await ask(scene.port, narPath(path, '.bz2'), {
      headers: { range: 'bytes=6-' },
    });
    expect(status).toBe(206);
    expect(headers['content-range']).toBe(`bytes 6-${path.file.length - 1}/${path.file.length}`);
    expect(body).toEqual(path.file.subarray(6));
  });

  test('whose size nobody knows is not to be resumed: a part of it would have no name', async () => {
    const { scene, path } = await opaque(true);
    const whole = await ask(scene.port, narPath(path, '.bz2'));
    expect(whole.status).toBe(200);
    expect(whole.headers).not.toHaveProperty('accept-ranges');
    expect(whole.body).toEqual(path.file);
    const part = await ask(scene.port, narPath(path, '.bz2'), { headers: { range: 'bytes=6-' } });
    expect(part.status).toBe(404);
  });

  test('is 404 under another ending, and when its source is away', async () => {
    const { scene, path, source } = await opaque();
    expect((await ask(scene.port, narPath(path, '.lzip'))).status).toBe(404);
    expect((await ask(scene.port, narPath(path))).status).toBe(404);
    await scene.pool.remove(source.id);
    expect((await ask(scene.port, narPath(path, '.bz2'))).status).toBe(404);
  });
});

describe('other files', () => {
  const log = '/log/00000000000000000000000000000000-a.drv';

  test.for([
    log,
    '/log/00000000000000000000000000000000-a%2Bb.drv',
    `/${'0'.repeat(32)}.ls`,
    '/realisations/sha256:00!out.doi',
    '/debuginfo/0011.debug',
    '/build-trace-v2/some/thing.doi',
  ])('are passed through: %s', async (path) => {
    const scene = await localScene();
    const { server } = await scene.upstream('cache', (request, response) =>
      text(200, 'some text', { 'content-type': 'text/x' })(request, response),
    );
    const { status, headers, body } = await ask(scene.port, path);
    expect({ status, type: headers['content-type'], body: String(body) }).toEqual({
      status: 200,
      type: 'text/x',
      body: 'some text',
    });
    const head = await ask(scene.port, path, { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect(head.headers['content-length']).toBe('9');
    expect(server.asked).toEqual([path, path]);
  });

  test('are 404 when no source has them, or fails', async () => {
    const scene = await localScene();
    await scene.upstream('without', text(404));
    await scene.upstream('failing', text(500));
    expect((await ask(scene.port, log)).status).toBe(404);
  });
});

describe('anything else', () => {
  test.for([
    '/',
    '/index.html',
    '//nix-cache-info',
    '/./nix-cache-info',
    '/nix-cache-info/',
    '/nix-cache-info?x=1',
    '/nix-cache-info%00',
    '/%6eix-cache-info',
    '/nar/',
    '/nar/../nix-cache-info',
    '/../../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/log/../../etc/passwd',
    '/log/%2e%2e/%2e%2e/etc/passwd',
    '/log/..%2f..%2fetc%2fpasswd',
    '/log/%00',
    '/log/a%0d%0aHost:%20b',
    '/log/',
    `/log/${'x'.repeat(513)}`,
    `/${'x'.repeat(8_000)}`,
    `/${'e'.repeat(32)}.narinfo`,
    `/${'0'.repeat(31)}.narinfo`,
    `/${'0'.repeat(33)}.narinfo`,
    `/${'0'.repeat(32)}.narinfo.xz`,
    `/${'0'.repeat(32)}.NARINFO`,
    'http://other.example/nix-cache-info',
    'http://127.0.0.1:1/log/x',
    '*',
  ])('is 404, and nobody is asked: %.60s', async (path) => {
    const scene = await localScene();
    const { server } = await scene.upstream('cache', text(200, 'x'));
    expect((await ask(scene.port, path)).status).toBe(404);
    expect(server.requests).toHaveLength(0);
  });

  test('is refused when it is longer than 16 KiB', async () => {
    const scene = await localScene();
    expect((await ask(scene.port, `/${'x'.repeat(20_000)}`)).status).toBe(431);
  });

  test.for(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('is %s', async (method) => {
    const scene = await localScene();
    for (const path of ['/nix-cache-info', `/${'0'.repeat(32)}.narinfo`, '/log/x', '/healthz']) {
      const { status, headers } = await ask(scene.port, path, { method });
      expect({ status, allow: headers['allow'] }).toEqual({ status: 405, allow: 'GET, HEAD' });
    }
    expect((await ask(scene.port, '/none', { method })).status).toBe(404);
  });

  test('is whether it is well', async () => {
    const scene = await localScene();
    expect(await ask(scene.port, '/healthz')).toMatchObject({ status: 200, body: Buffer.from('ok\n') });
    expect(await ask(scene.port, '/healthz', { method: 'HEAD' })).toMatchObject({
      status: 200,
      body: Buffer.alloc(0),
    });
  });
});
