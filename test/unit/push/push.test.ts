import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { decode } from '../../../agent/nix/decode.ts';
import { sameHash } from '../../../agent/nix/hash.ts';
import { parseNarinfo } from '../../../agent/nix/narinfo.ts';
import { trustedSigner } from '../../../agent/nix/signature.ts';
import { UploadLink } from '../../e2e/harness/upload-link.ts';
import { MadeStore } from './made-store.ts';
import { key, publicKey, runPush, spooled, temporaryDirectory } from './run-push.ts';
import { ScriptedServer } from './scripted-server.ts';

/** A closure of six paths, two of which have the same NAR. */
function madeStore(bigSize = 300_000) {
  const store = new MadeStore();
  const leaf = store.add('leaf', randomBytes(100));
  const nar = randomBytes(70_000);
  const twin = store.add('twin', nar);
  const other = store.add('other', nar, [leaf]);
  const big = store.add('big', randomBytes(bigSize), [twin, leaf]);
  const self = store.add('self', randomBytes(1_000), [big]);
  const top = store.add('top', randomBytes(10), [self, other]);
  return { store, leaf, twin, other, big, top };
}

describe('a push', () => {
  test('sends the whole closure, every path after what it refers to, and leaves nothing behind', async () => {
    await using server = await ScriptedServer.start();
    const { store, top } = madeStore();
    const spool = temporaryDirectory();
    const { pushed, failed } = await runPush(store, server.url, [top], { spool });
    expect(failed).toEqual({});
    expect(pushed.sort()).toEqual(['big', 'leaf', 'other', 'self', 'top', 'twin']);
    expect(server.narinfos.size).toBe(6);
    expect(server.nars.size).toBe(5);
    expect(spooled(spool)).toEqual([]);
    // The server refuses a narinfo whose references are not there: none was refused.
    expect(server.paths('PUT').filter((path) => path.endsWith('.narinfo'))).toHaveLength(6);
  });

  test.each([
    ['zstd', 3, '.zst'],
    ['zstd', 19, '.zst'],
    ['xz', 1, '.xz'],
    ['none', 0, ''],
  ] as const)('packs with %s at level %i what decodes to the NAR', async (compression, level, ending) => {
    await using server = await ScriptedServer.start();
    const { store, top, big } = madeStore();
    await runPush(store, server.url, [top], { packing: { compression, level } });
    const text = server.narinfos.get(`${big.storePath.hashPart}.narinfo`) ?? '';
    const narinfo = parseNarinfo(text, '/nix/store');
    expect(narinfo).toMatchObject({ compression, narSize: 300_000 });
    expect(sameHash(narinfo.narHash, big.narHash)).toBe(true);
    expect(narinfo.url).toMatch(new RegExp(`^nar/[0-9a-z]{52}\\.nar${ending}$`));
    expect(trustedSigner(narinfo, '/nix/store', new Map([[key.name, publicKey]]))).toBe(key.name);
    const file = server.nars.get(narinfo.url.slice('nar/'.length)) ?? Buffer.alloc(0);
    expect(file.length).toBe(narinfo.fileSize);
    const nar = await buffer(decode(compression, whole(file)));
    expect(nar.equals(await buffer(store.dump(big.storePath)))).toBe(true);
  });

  test('a second one asks one question', async () => {
    await using server = await ScriptedServer.start();
    const { store, top } = madeStore();
    await runPush(store, server.url, [top]);
    server.requests.length = 0;
    const { plan } = await runPush(store, server.url, [top]);
    expect(plan).toEqual({ paths: 6, missing: [] });
    expect(server.requests).toEqual([`GET /closure/${top.storePath.hashPart}`]);
  });

  test('of many unrelated paths asks for all at once', async () => {
    await using server = await ScriptedServer.start();
    const store = new MadeStore();
    const paths = Array.from({ length: 100 }, (_, n) => store.add(`p${n}`, Buffer.from(`${n}`)));
    await runPush(store, server.url, paths.slice(0, 50));
    server.requests.length = 0;
    const { plan } = await runPush(store, server.url, paths);
    expect(plan.missing).toHaveLength(50);
    expect(server.requests.slice(0, 2)).toEqual(['POST /missing', expect.stringMatching(/^PUT /)]);
    expect(server.narinfos.size).toBe(100);
  });

  test('that has nothing to do sends at most 1 KiB for 100 paths, though none refers to another', async () => {
    const login = { login: 'builder', password: 'a-token-for-tests-only' };
    await using server = await ScriptedServer.start();
    await using link = await UploadLink.start(server.url.href);
    const store = new MadeStore();
    const paths = Array.from({ length: 100 }, (_, n) => store.add(`p${n}`, Buffer.from(`${n}`)));
    await runPush(store, server.url, paths);
    await runPush(store, new URL(link.url), paths, { credentials: login });
    expect(link.bytes).toBeLessThanOrEqual(1024);
  });
});

async function* whole(bytes: Uint8Array) {
  yield bytes;
}
