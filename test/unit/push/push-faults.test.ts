import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MadeStore } from './made-store.ts';
import { runPush, spooled, temporaryDirectory } from './run-push.ts';
import { type Fault, ScriptedServer } from './scripted-server.ts';

/** A path of so many bytes of noise, and one that refers to it. */
function pair(size = 400_000) {
  const store = new MadeStore();
  const leaf = store.add('leaf', randomBytes(size));
  const top = store.add('top', randomBytes(10), [leaf]);
  return { store, leaf, top };
}

describe('what passes is gone through', () => {
  test('a NAR whose connection is cut 20 times goes on where it stopped', async () => {
    await using server = await ScriptedServer.start();
    const { store, top } = pair(2_000_000);
    for (let n = 0; n < 20; n++) server.faults.push({ method: 'PUT', path: /^\/nar\//, cutAfter: 90_000 });
    const { failed } = await runPush(store, server.url, [top]);
    expect(failed).toEqual({});
    const files = [...server.nars.values()].reduce((sum, { length }) => sum + length, 0);
    // What the server had not read when it cut the connection had left the socket all the same.
    expect(server.received).toBeLessThan(files + 20 * 65_536 + 1_000);
    expect(server.paths('HEAD').length).toBeGreaterThanOrEqual(20);
    expect(store.dumped).toHaveLength(2);
  });

  const passing: [string, Fault[]][] = [
    ['503 for a NAR', [{ method: 'PUT', path: /^\/nar\//, status: 503, headers: { 'retry-after': '1' } }]],
    [
      '502 for all kinds of requests',
      [
        { method: 'GET', path: /closure/, status: 502 },
        { method: 'POST', path: /missing/, status: 502 },
        { method: 'PUT', path: /nar\//, status: 502 },
        { method: 'HEAD', path: /nar\//, status: 502 },
        { method: 'PUT', path: /narinfo/, status: 502 },
      ],
    ],
    [
      '409 with another offset',
      [{ method: 'PUT', path: /nar\//, status: 409, headers: { 'upload-offset': '0' } }],
    ],
    ['a NAR that is lost before its narinfo comes', [{ method: 'PUT', path: /narinfo/, forgets: true }]],
  ];
  test.each(passing)('%s', async (_, faults) => {
    await using server = await ScriptedServer.start();
    server.faults.push(...faults);
    const { store, top } = pair();
    const { pushed, failed } = await runPush(store, server.url, [top]);
    expect([failed, pushed.sort()]).toEqual([{}, ['leaf', 'top']]);
    expect(server.narinfos.size).toBe(2);
  });

  test('a server that stays away ends it after ten tries, and what was packed waits for the next run', async () => {
    await using server = await ScriptedServer.start();
    const { store, top } = pair();
    const spool = temporaryDirectory();
    for (let n = 0; n < 100; n++) server.faults.push({ method: 'PUT', path: /^\/nar\//, cutAfter: 0 });
    await expect(runPush(store, server.url, [top], { spool })).rejects.toMatchObject({ fault: 'cut' });
    expect(spooled(spool).length).toBeGreaterThan(0);
    expect(store.dumped.length).toBeGreaterThan(0);
    server.faults.length = 0;
    store.dumped.length = 0;
    await runPush(store, server.url, [top], { spool });
    expect(server.narinfos.size).toBe(2);
    expect(store.dumped).toEqual([]);
    expect(spooled(spool)).toEqual([]);
  });

  test('an interrupted run is gone on with by the next one, byte by byte', async () => {
    await using server = await ScriptedServer.start();
    const { store, leaf } = pair(2_000_000);
    const spool = temporaryDirectory();
    const interrupt = new AbortController();
    server.faults.push({ method: 'PUT', path: /^\/nar\//, cutAfter: 500_000 });
    const path = /^\/nar\//;
    for (let n = 0; n < 5; n++) server.faults.push({ method: 'HEAD', path, status: 503 });
    const run = runPush(store, server.url, [leaf], { spool, signal: interrupt.signal });
    await server.cut;
    interrupt.abort(new Error('interrupted'));
    await expect(run).rejects.toThrow('interrupted');
    server.faults.length = 0;
    const before = server.received;
    const had = [...server.staged.values()].reduce((sum, { length }) => sum + length, 0);
    expect(had).toBeGreaterThan(0);
    await runPush(store, server.url, [leaf], { spool });
    expect(server.narinfos.size).toBe(1);
    expect(server.received - before).toBeLessThan(2_001_000 - had);
  });
});

describe('what does not pass ends it with a sentence', () => {
  test.each([
    [401, '', 'refused', 'it wants the login and password of an uploader: see --netrc-file'],
    [
      403,
      'This uploader may not use the key x-1.\nmore',
      'refused',
      'This uploader may not use the key x-1.',
    ],
    [507, 'The disk is full.', 'full', 'The disk is full.'],
  ])('%i', async (status, text, fault, sentence) => {
    await using server = await ScriptedServer.start();
    server.faults.push({ method: 'PUT', path: /^\/nar\//, status, text });
    const { store, top } = pair();
    await expect(runPush(store, server.url, [top])).rejects.toMatchObject({
      fault,
      message: expect.stringContaining(sentence),
    });
    expect(server.narinfos.size).toBe(0);
  });

  test('a wrong password is told before anything is packed', async () => {
    await using server = await ScriptedServer.start(`Basic ${Buffer.from('me:right').toString('base64')}`);
    const { store, top } = pair();
    const wrong = { login: 'me', password: 'wrong' };
    const push = runPush(store, server.url, [top], { credentials: wrong });
    await expect(push).rejects.toMatchObject({
      fault: 'refused',
      message: expect.not.stringContaining('wrong'),
    });
    expect(store.dumped).toEqual([]);
    await runPush(store, server.url, [top], { credentials: { login: 'me', password: 'right' } });
    expect(server.narinfos.size).toBe(2);
  });

  test('a cache that takes no uploads is told', async () => {
    await using server = await ScriptedServer.start();
    server.faults.push({ method: 'GET', path: /closure/, status: 404 });
    server.faults.push({ method: 'POST', path: /missing/, status: 405 });
    const { store, top } = pair();
    await expect(runPush(store, server.url, [top])).rejects.toThrow('takes no uploads by narrowcast push');
  });

  test('nobody there is told at once', async () => {
    const { store, top } = pair();
    const gone = await ScriptedServer.start();
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    await expect(runPush(store, url, [top])).rejects.toMatchObject({ fault: 'unreachable' });
  });

  test('a server that takes nothing any more is cut off', async () => {
    await using server = await ScriptedServer.start();
    const { store, top } = pair();
    for (let n = 0; n < 100; n++) server.faults.push({ method: 'PUT', path: /^\/nar\//, hangs: true });
    // More than the buffers of two sockets hold.
    const huge = store.add('huge', randomBytes(16_000_000), [top]);
    const push = runPush(store, server.url, [huge], { stalledTimeout: 100 });
    await expect(push).rejects.toThrow(/took nothing of nar\/.* for 100 ms/);
  });
});

describe('what concerns one path fails that path and what refers to it', () => {
  test('a path that is damaged', async () => {
    await using server = await ScriptedServer.start();
    const { store, leaf, top } = pair();
    const whole = store.add('whole', randomBytes(10));
    store.spoil(leaf);
    const { pushed, failed } = await runPush(store, server.url, [top, whole]);
    expect(pushed).toEqual(['whole']);
    expect(failed['leaf']).toMatch(
      /^\/nix\/store\/[0-9a-z]{32}-leaf is damaged: its NAR has the hash sha256:/,
    );
    expect(failed['top']).toBe(`it refers to ${leaf.storePath.base}, which was not pushed`);
    expect([...server.narinfos.keys()]).toEqual([`${whole.storePath.hashPart}.narinfo`]);
  });

  test('a path that nobody has signed, without a key', async () => {
    await using server = await ScriptedServer.start();
    const { store, top } = pair();
    const { failed } = await runPush(store, server.url, [top], { withKey: false });
    expect(failed['leaf']).toContain('-leaf has no signature: name a key to sign it with, --key-file FILE.');
    expect(server.nars.size).toBe(0);
  });

  test('a NAR that the server finds wrong, and packs it anew the next time', async () => {
    await using server = await ScriptedServer.start();
    const { store, top } = pair();
    const spool = temporaryDirectory();
    server.faults.push({ method: 'PUT', path: /^\/nar\//, status: 507 });
    await expect(runPush(store, server.url, [top], { spool })).rejects.toMatchObject({ fault: 'full' });
    for (const name of spooled(spool)) spoil(join(spool, 'server', name));
    const { failed } = await runPush(store, server.url, [top], { spool });
    expect(failed['leaf']).toContain('another hash');
    const { pushed } = await runPush(store, server.url, [top], { spool });
    expect(pushed.sort()).toEqual(['leaf', 'top']);
  });
});

function spoil(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}
