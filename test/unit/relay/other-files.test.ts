import { describe, expect, test } from 'vitest';
import { OtherFiles } from '../../../agent/relay/other-files.ts';
import { collected } from '../cache/support/sample.ts';
import { hang, reset, text } from '../source/support/scripted-server.ts';
import { type LookupScene, lookupScene } from './support/lookup-scene.ts';

const never = new AbortController().signal;
const drv = 'log/00000000000000000000000000000000-a.drv';

async function filesOf(scene: LookupScene): Promise<OtherFiles> {
  return new OtherFiles(scene.pool, scene.log.log);
}

describe('a file beside narinfos and NARs', () => {
  test('comes from the first source that has it', async () => {
    const scene = await lookupScene();
    await scene.upstream('without', text(404), 1);
    await scene.upstream('failing', text(500), 2);
    await scene.upstream('cut', reset, 3);
    await scene.upstream('with', text(200, 'built', { 'content-type': 'text/plain' }), 4);
    const last = await scene.upstream('last', text(200, 'too'), 5);
    const body = await (await filesOf(scene)).open(drv, never);
    expect(body).toMatchObject({ size: 5, type: 'text/plain' });
    expect(String(await collected(body?.chunks ?? none()))).toBe('built');
    expect(last.server.requests).toHaveLength(0);
  });

  test('that nobody has is not here', async () => {
    const scene = await lookupScene();
    await scene.upstream('without', text(404));
    await scene.upstream('failing', text(500));
    expect(await (await filesOf(scene)).open(drv, never)).toBeUndefined();
  });

  test('I3: never comes from a cache that nobody named, for nobody can verify it', async () => {
    const scene = await lookupScene();
    const { server } = await scene.peer('stranger', text(200, 'wrong'));
    expect(await (await filesOf(scene)).open(drv, never)).toBeUndefined();
    expect(server.requests).toHaveLength(0);
  });

  test.for([
    'log/../nix-cache-info',
    'log/..',
    'log/%2e%2e/x',
    'log/%2E%2e%2Fx',
    'log/.',
    'log//x',
    'log/',
    'log/a\\b',
    'log/%5c..%5cx',
    'log/%00',
    'log/a%0d%0ab',
    'log/%',
    'log/%ff',
  ])('with a name that leads elsewhere is asked of nobody: %j', async (path) => {
    const scene = await lookupScene();
    const { server } = await scene.upstream('cache', text(200, 'x'));
    expect(await (await filesOf(scene)).open(path, never)).toBeUndefined();
    expect(server.requests).toHaveLength(0);
  });

  test.for([
    'log/0-a%2Bb.drv',
    'log/0-a+b.drv',
    'realisations/sha256:0!out.doi',
    'log/...',
    'log/%252e%252e',
  ])('with any other name is asked for as it is: %s', async (path) => {
    const scene = await lookupScene();
    const { server } = await scene.upstream('cache', text(200, 'x'));
    expect(await (await filesOf(scene)).open(path, never)).toBeDefined();
    expect(server.asked).toEqual([`/${path}`]);
  });

  test('is waited for no longer than its reader waits', async () => {
    const scene = await lookupScene();
    const { server } = await scene.upstream('silent', hang);
    const abort = new AbortController();
    const reason = new Error('left');
    const opening = expect((await filesOf(scene)).open(drv, abort.signal)).rejects.toBe(reason);
    await server.wasAsked(`/${drv}`);
    abort.abort(reason);
    await opening;
  });

  test('is cut where it becomes too large', async () => {
    const scene = await lookupScene();
    const block = Buffer.alloc(1024 * 1024);
    await scene.upstream('endless', (request, response) => {
      const more = () => {
        while (!request.socket.destroyed && response.write(block));
      };
      response.on('drain', more);
      more();
    });
    const body = await (await filesOf(scene)).open(drv, never);
    let bytes = 0;
    const read = async () => {
      for await (const chunk of body?.chunks ?? none()) bytes += chunk.length;
    };
    await expect(read()).rejects.toMatchObject({ code: 'nar-cut' });
    expect(bytes).toBeLessThanOrEqual(256 * 1024 * 1024);
  });
});

async function* none(): AsyncGenerator<Uint8Array> {}
