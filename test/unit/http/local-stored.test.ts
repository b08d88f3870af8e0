import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import type { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { parseNarinfo } from '../../../agent/nix/narinfo.ts';
import { pathsOf, type SampleOptions, store } from '../cache/support/sample.ts';
import { openCache, temporaryDirectory } from '../cache/support/temporary.ts';
import { having } from '../relay/support/lookup-scene.ts';
import { narinfoPath, type Sample, signedSample, storeDir } from '../source/support/cache-files.ts';
import { type Answer, ask } from './lan-face.ts';
import { type LocalScene, localScene } from './local-scene.ts';

let dir: string;
let cache: DiskCache;
let scene: LocalScene;

beforeEach(async () => {
  dir = await temporaryDirectory();
  cache = await openCache({ dir });
  scene = await localScene({ cache });
});

/** A path as upstreams have it, FileHash and all, and as it is in the cache directory. */
async function keep(options: SampleOptions = { compression: 'xz' }): Promise<Sample> {
  const path = signedSample(scene.key, options);
  const { fileHash, file } = path;
  const whole = { ...path, narinfo: { ...path.narinfo, fileHash, fileSize: file.length } };
  expect(await store(cache, whole)).toBe(true);
  return whole;
}

async function narinfoOf(path: Sample) {
  const { status, body } = await ask(scene.port, narinfoPath(path));
  expect(status).toBe(200);
  return parseNarinfo(String(body), storeDir);
}

/** Where this face has the file that a path is stored in. */
function filePath({ narinfo, fileHash }: Sample): string {
  return `/nar/${narinfo.storePath.hashPart}-${toBase32(fileHash.digest)}.nar.xz`;
}

function expectFile({ status, body }: Answer, { file }: Sample): void {
  expect(status).toBe(200);
  expect(body.equals(file)).toBe(true);
}

describe('a NAR in the cache directory', () => {
  test.for(['xz', 'zstd', 'gzip'] as const)('of %s is served as it is stored', async (compression) => {
    const path = await keep({ compression });
    const { url, ...narinfo } = await narinfoOf(path);
    expect(narinfo).toMatchObject({ compression, fileHash: path.fileHash, fileSize: path.file.length });
    const answer = await ask(scene.port, `/${url}`);
    expectFile(answer, path);
    expect(answer.headers).toMatchObject({ 'accept-ranges': 'bytes', 'cache-status': 'narrowcast; hit' });
  });

  test('can be gone on with at any byte', async () => {
    const path = await keep();
    const { status, headers, body } = await ask(scene.port, filePath(path), {
      headers: { range: 'bytes=100-' },
    });
    expect(status).toBe(206);
    expect(headers['content-range']).toBe(`bytes 100-${path.file.length - 1}/${path.file.length}`);
    expect(body.equals(path.file.subarray(100))).toBe(true);
  });

  test('is still served decoded where that was told before', async () => {
    const path = await keep();
    const { status, body } = await ask(
      scene.port,
      `/nar/${path.narinfo.storePath.hashPart}-${path.narHash}.nar`,
    );
    expect([status, body.length]).toEqual([200, path.narinfo.narSize]);
  });

  test('that is not compressed comes from its file', async () => {
    const path = await keep({ compression: 'none' });
    const { url, compression, fileHash } = await narinfoOf(path);
    expect({ compression, fileHash }).toEqual({ compression: 'none', fileHash: undefined });
    const answer = await ask(scene.port, `/${url}`);
    expectFile(answer, path);
    expect(answer.headers['cache-status']).toBe('narrowcast; hit');
  });

  test('is asked for with HEAD without its bytes', async () => {
    const path = await keep();
    const { status, headers, body } = await ask(scene.port, filePath(path), { method: 'HEAD' });
    expect([status, body.length]).toEqual([200, 0]);
    expect(headers['content-length']).toBe(String(path.file.length));
  });

  test('is not served under the hash of another', async () => {
    const path = await keep();
    const other = await keep({ compression: 'xz', name: 'other' });
    const mixed = `/nar/${path.narinfo.storePath.hashPart}-${toBase32(other.fileHash.digest)}.nar.xz`;
    expect((await ask(scene.port, mixed)).status).toBe(404);
  });
});

describe('a file that is gone, though Nix remembers its URL', () => {
  async function evict(path: Sample): Promise<void> {
    const files = pathsOf(dir, path);
    await Promise.all([rm(files.narinfo), rm(files.nar)]);
  }

  test('is fetched anew from who has the very same, once', async () => {
    const path = await keep();
    const { server } = await scene.upstream('cache', having(path));
    await evict(path);
    expectFile(await ask(scene.port, filePath(path)), path);
    expectFile(await ask(scene.port, filePath(path)), path);
    expect(server.requests.filter(({ url }) => url?.startsWith('/nar/'))).toHaveLength(1);
  });

  test('is 404 when others have the NAR in another file only, which is served decoded', async () => {
    const contents = Buffer.from('the same');
    const path = await keep({ contents, compression: 'xz' });
    const zstd = signedSample(scene.key, { contents, compression: 'zstd' });
    await scene.upstream('cache', having(zstd));
    await evict(path);
    expect((await ask(scene.port, filePath(path))).status).toBe(404);
    expect((await narinfoOf(path)).compression).toBe('none');
  });

  test('is 404 with no network', async () => {
    const path = await keep();
    await evict(path);
    scene.network.online = false;
    expect((await ask(scene.port, filePath(path))).status).toBe(404);
  });
});

test.for(['flipped', 'cut'])(
  'a %s file in the cache directory is not given out but fetched anew',
  async (how) => {
    const path = await keep();
    const { nar } = pathsOf(dir, path);
    const { url } = await narinfoOf(path);
    const bytes = await readFile(nar);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    if (how === 'flipped') await writeFile(nar, bytes);
    else await truncate(nar, bytes.length - 1);
    const { server } = await scene.upstream('cache', having(path));
    expectFile(await ask(scene.port, `/${url}`), path);
    expect(server.requests.map(({ url: asked }) => asked)).toContain(`/${path.narinfo.url}`);
  },
);
