import { describe, expect, test } from 'vitest';
import type { KnownPath } from '../../../agent/relay/known-path.ts';
import { opaqueOffers, openOpaque } from '../../../agent/relay/opaque.ts';
import { collected } from '../cache/support/sample.ts';
import { type Sample, signedSample } from '../source/support/cache-files.ts';
import { type Reply, reset, text } from '../source/support/scripted-server.ts';
import { having, type LookupScene, lookupScene } from './support/lookup-scene.ts';

const never = new AbortController().signal;

/** The path in a compression that only Nix can undo; the bytes are the test's. */
function opaqueSample(scene: LookupScene, file = 'bytes that only Nix can read'): Sample {
  const path = signedSample(scene.key);
  return { ...path, narinfo: { ...path.narinfo, compression: 'bzip2' }, file: Buffer.from(file) };
}

async function knownOf(scene: LookupScene, { narinfo }: Sample): Promise<KnownPath> {
  const known = await scene.lookup.find(narinfo.storePath.hashPart);
  if (known === undefined) throw new Error('the path was not found');
  await scene.lookup.widen(known);
  return known;
}

/** The narinfo as it should be; the NAR otherwise. */
function withNar(path: Sample, nar: Reply): Reply {
  const rest = having(path);
  return (request, response) => (request.url === `/${path.narinfo.url}` ? nar : rest)(request, response);
}

describe('a NAR that only Nix can decode', () => {
  test('comes as it is, with its size', async () => {
    const scene = await lookupScene();
    const path = opaqueSample(scene);
    await scene.upstream('cache', having(path));
    const body = await openOpaque(await knownOf(scene, path), 'bzip2', 0, never);
    expect(body).toMatchObject({ offset: 0, size: path.file.length });
    expect(await collected(body.chunks)).toEqual(path.file);
  });

  test.for([1, 10, 27])('goes on from byte %i, though its source has no ranges', async (offset) => {
    const scene = await lookupScene();
    const path = opaqueSample(scene);
    await scene.upstream('cache', having(path));
    const body = await openOpaque(await knownOf(scene, path), 'bzip2', offset, never);
    expect(body.offset).toBe(offset);
    expect(await collected(body.chunks)).toEqual(path.file.subarray(offset));
  });

  test.for([2, 3, 4])(
    'goes on from byte %i, though it comes whole and in pieces of three',
    async (offset) => {
      const scene = await lookupScene();
      const path = opaqueSample(scene, 'abcdefghi');
      const { source } = await scene.upstream('cache', having(path));
      const known = await knownOf(scene, path);
      async function* chunks() {
        for (const piece of ['abc', 'def', 'ghi']) yield Buffer.from(piece);
      }
      source.source.openNar = async () => ({ offset: 0, size: 9, type: undefined, chunks: chunks() });
      const body = await openOpaque(known, 'bzip2', offset, never);
      expect(await collected(body.chunks)).toEqual(path.file.subarray(offset));
    },
  );

  test.for<[string, Reply]>([
    ['gone', text(404)],
    ['cut', reset],
    ['empty', text(200)],
  ])('comes from the next source when it is %s at the first', async ([_, reply]) => {
    const scene = await lookupScene();
    const path = opaqueSample(scene);
    await scene.upstream('first', withNar(path, reply), 1);
    await scene.upstream('second', having(path), 2);
    const body = await openOpaque(await knownOf(scene, path), 'bzip2', 0, never);
    expect(await collected(body.chunks)).toEqual(path.file);
  });

  test('is unavailable when no source gives a byte, or none has this compression', async () => {
    const scene = await lookupScene();
    const path = opaqueSample(scene);
    const { server, source } = await scene.upstream('cache', having(path));
    const known = await knownOf(scene, path);
    await expect(openOpaque(known, 'lzip', 0, never)).rejects.toMatchObject({ code: 'nar-unavailable' });
    server.reply = withNar(path, text(404));
    await expect(openOpaque(known, 'bzip2', 0, never)).rejects.toMatchObject({ code: 'nar-unavailable' });
    expect(source.usable).toBe(true);
  });

  test('is cut when its source stops in the middle', async () => {
    const scene = await lookupScene();
    const path = opaqueSample(scene);
    const half: Reply = (_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy());
    };
    await scene.upstream('cache', withNar(path, half));
    const { chunks } = await openOpaque(await knownOf(scene, path), 'bzip2', 0, never);
    await expect(collected(chunks)).rejects.toMatchObject({ code: 'nar-cut' });
  });

  test('is offered in the order of the sources', async () => {
    const scene = await lookupScene();
    const path = opaqueSample(scene);
    const [a, b] = [await scene.upstream('a', having(path)), await scene.upstream('b', having(path))];
    const known = await knownOf(scene, path);
    for (const [quick, slow] of [
      [a.source, b.source],
      [b.source, a.source],
    ] as const) {
      for (let i = 0; i < 20; i++) {
        quick.latency.add(1);
        slow.latency.add(100);
      }
      expect(opaqueOffers(known).map(({ source }) => source)).toEqual([quick, slow]);
    }
  });
});
