import { rm } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { DiskCache } from '../../../agent/cache/disk-cache.ts';
import type { KnownPath } from '../../../agent/relay/known-path.ts';
import { pathsOf, store } from '../cache/support/sample.ts';
import { openCache, temporaryDirectory } from '../cache/support/temporary.ts';
import { type Sample, signedSample } from '../source/support/cache-files.ts';
import { having, type LookupScene, lookupScene } from './support/lookup-scene.ts';

interface DiskScene extends LookupScene {
  readonly dir: string;
  readonly cache: DiskCache;
}

async function diskScene(): Promise<DiskScene> {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  return { ...(await lookupScene({ cache })), dir, cache };
}

async function remove({ dir }: DiskScene, path: Sample): Promise<void> {
  const { narinfo, nar } = pathsOf(dir, path);
  await Promise.all([rm(narinfo), rm(nar)]);
}

function find({ lookup }: LookupScene, { narinfo }: Sample): Promise<KnownPath | undefined> {
  return lookup.find(narinfo.storePath.hashPart);
}

describe('a path in the cache directory', () => {
  test('is found there, with no question to anybody', async () => {
    const scene = await diskScene();
    const path = signedSample(scene.key);
    await store(scene.cache, path);
    const pi = await scene.peer('pi', having(path));
    const cache = await scene.upstream('cache', having(path));
    expect(await find(scene, path)).toMatchObject({
      stored: expect.anything(),
      trustedBy: 'cache.example-1',
      offers: [],
    });
    expect([...pi.server.requests, ...cache.server.requests]).toHaveLength(0);
  });

  test('is found offline', async () => {
    const scene = await diskScene();
    const path = signedSample(scene.key);
    await store(scene.cache, path);
    scene.network.online = false;
    expect(await find(scene, path)).toMatchObject({ stored: expect.anything() });
  });

  test('signed by a key that is not trusted any more is asked for elsewhere', async () => {
    const scene = await diskScene();
    const path = signedSample(scene.key);
    await store(scene.cache, { ...path, narinfo: { ...path.narinfo, signatures: [] } });
    await scene.upstream('cache', having(path));
    expect(await find(scene, path)).toMatchObject({ stored: undefined });
  });

  test('in a compression that nobody here can decode is asked for elsewhere', async () => {
    const scene = await diskScene();
    const path = signedSample(scene.key);
    await store(scene.cache, { ...path, meta: { ...path.meta, compression: 'bzip2' } });
    expect(await scene.cache.narinfo(path.narinfo.storePath.hashPart)).toMatchObject({
      compression: 'bzip2',
    });
    expect(await find(scene, path)).toBeUndefined();
    await scene.upstream('cache', having(path));
    expect(await find(scene, path)).toMatchObject({ stored: undefined });
  });

  test('I2: is looked for again after a minute, for it may have been evicted', async () => {
    const scene = await diskScene();
    const path = signedSample(scene.key);
    await store(scene.cache, path);
    const found = await find(scene, path);
    await scene.clock.pass(60_000);
    expect(await find(scene, path)).toBe(found);
    await remove(scene, path);
    await scene.clock.pass(59_999);
    expect(await find(scene, path)).toBe(found);
    await scene.clock.pass(1);
    expect(await find(scene, path)).toBeUndefined();
    expect(found).toMatchObject({ stored: undefined });
  });

  test('and evicted is taken from where else it is, as the same path', async () => {
    const scene = await diskScene();
    const path = signedSample(scene.key);
    await store(scene.cache, path);
    const found = await find(scene, path);
    await remove(scene, path);
    const { server } = await scene.upstream('cache', having(path));
    await scene.clock.pass(60_000);
    expect(await find(scene, path)).toBe(found);
    expect(found?.offers).toHaveLength(1);
    expect(server.requests).toHaveLength(1);
  });

  test('that was stored meanwhile is found as the same path', async () => {
    const scene = await diskScene();
    const path = signedSample(scene.key);
    const cache = await scene.upstream('cache', having(path));
    const found = await find(scene, path);
    await store(scene.cache, path);
    await scene.pool.remove(cache.source.id);
    expect(await find(scene, path)).toBe(found);
    expect(found).toMatchObject({ stored: expect.anything() });
  });
});
