import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, largeClosure, pathNamed, smallClosure, smallExpression } from '../fixtures/closure.ts';
import { buildWanted } from './harness/build-wanted.ts';
import type { FaultName } from './harness/faults.ts';
import { FaultyUpstream } from './harness/faulty-upstream.ts';
import { Nginx } from './harness/nginx.ts';
import { Offline, offlineSkipReason } from './harness/offline.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';

/** The harness proven on its own: real Nix straight to nginx and straight to the faulty upstream, without a relay. */
skippable(describe, privateStoreSkipReason())('the harness', () => {
  describe('the large closure', () => {
    let fixture: Fixture;
    let all: string[];
    let nginx: Nginx;
    beforeAll(async () => {
      fixture = await largeClosure();
      all = fixture.paths.map(({ path }) => path);
      nginx = await Nginx.start(fixture.dir);
    });
    afterAll(() => nginx[Symbol.asyncDispose]());

    test('has every size, compression and kind of path', () => {
      expect(all.length).toBeGreaterThanOrEqual(60);
      const sizes = fixture.paths.map(({ narSize }) => narSize);
      expect(Math.min(...sizes)).toBeLessThan(1024);
      expect(Math.max(...sizes)).toBeGreaterThan(100_000_000);
      const compressions = new Set(fixture.paths.map(({ compression }) => compression));
      expect(compressions).toEqual(new Set(['xz', 'zstd', 'gzip', 'none', 'br', 'bzip2']));
      expect(pathNamed(fixture, 'upper-leaf-0')).toMatchObject({ compression: 'xz', signed: true });
      expect(pathNamed(fixture, 'top-leaf-0')).toMatchObject({ compression: 'zstd', signed: true });
      const unsigned = fixture.paths.filter(({ signed }) => !signed).map(({ path }) => path.slice(44));
      expect(unsigned.sort()).toEqual([
        'addressed-flat',
        'addressed-recursive',
        'addressed-text',
        'addressed-text-with-reference',
      ]);
    });

    test('goes whole into a fresh store with nix copy, straight from nginx, which counts the requests', async () => {
      await using store = await PrivateStore.create({
        options: { 'trusted-public-keys': fixture.publicKey },
      });
      const before = (await nginx.requests()).length;
      await store.mustRun(['nix', 'copy', '--from', nginx.url, fixture.top]);
      expect(await store.verify(all)).toMatchObject({ code: 0 });
      // The same check without the key: it is the signatures that count.
      expect((await store.verify(all, { 'trusted-public-keys': '' })).stderr).toContain('is untrusted');

      const requests = (await nginx.requests()).slice(before);
      const nars = requests.filter(({ uri }) => uri.startsWith('/nar/'));
      expect(nars.map(({ uri }) => uri.slice(1)).sort()).toEqual(fixture.paths.map(({ url }) => url).sort());
      expect(nars.map(({ bytes }) => bytes).sort()).toEqual(
        fixture.paths.map(({ fileSize }) => fileSize).sort(),
      );
      expect(nars.every(({ status }) => status === 200)).toBe(true);
    });

    test('goes whole into a fresh store with nix-store -r', async () => {
      await using store = await PrivateStore.create({
        options: { substituters: nginx.url, 'trusted-public-keys': fixture.publicKey },
      });
      await store.mustRun(['nix-store', '--realise', fixture.top]);
      expect(await store.verify(all)).toMatchObject({ code: 0 });
      expect(existsSync(store.locate(pathNamed(fixture, 'empty+directory').path))).toBe(true);
    });
  });

  test('nginx keeps to its rate limit and tells ranges', async () => {
    const fixture = await smallClosure();
    await using nginx = await Nginx.start(fixture.dir, { bytesPerSecond: 300_000 });
    const { url } = pathNamed(fixture, 'small-b');
    const started = performance.now();
    await (await fetch(`${nginx.url}/${url}`, { headers: { Range: 'bytes=2000000-' } })).arrayBuffer();
    expect(performance.now() - started).toBeGreaterThan(1_000);
    expect(await nginx.requests()).toEqual([
      { method: 'GET', uri: `/${url}`, status: 206, bytes: 899_008, range: 'bytes=2000000-' },
    ]);
  });

  test("a private store is fresh, keeps Nix's memory of narinfos until told to forget, and leaves nothing", async () => {
    const fixture = await smallClosure();
    const { path } = pathNamed(fixture, 'small-a');
    await using upstream = await FaultyUpstream.start(fixture, 'ok');
    let located = '';
    {
      await using store = await PrivateStore.create({ options: { substituters: upstream.url } });
      located = store.locate(path);
      const requestsOfAsking = async () => {
        const before = upstream.counts().narinfo;
        await store.mustRun(['nix', 'path-info', '--store', upstream.url, path]);
        return upstream.counts().narinfo - before;
      };
      expect(await requestsOfAsking()).toBeGreaterThan(0);
      expect(await requestsOfAsking()).toBe(0);
      await store.forgetNarinfos();
      expect(await requestsOfAsking()).toBeGreaterThan(0);

      // Without the key it is no substitute.
      const realise = ['nix-store', '--realise', path];
      expect((await store.run(realise)).code).not.toBe(0);
      expect(await store.has(path)).toBe(false);
      await store.mustRun(realise, { options: { 'trusted-public-keys': fixture.publicKey } });
      expect(await store.has(path)).toBe(true);
      expect(existsSync(located)).toBe(true);
      expect(existsSync(path)).toBe(false);
    }
    expect(existsSync(located)).toBe(false);
  });

  test('a command that does not end is ended', async () => {
    await using store = await PrivateStore.create();
    const { timedOut, ms } = await store.run(['sleep', '600'], { timeoutMs: 200 });
    expect(timedOut).toBe(true);
    expect(ms).toBeLessThan(10_000);
  });

  // What `real Nix 2.8` did in each case is known from before; a harness that sees otherwise is wrong.
  test.concurrent.for<[FaultName, string, { narinfo: number; nar: number }]>([
    ['ok', 'substituted', { narinfo: 1, nar: 1 }],
    ['ni-404', 'built', { narinfo: 1, nar: 0 }],
    ['ni-500', 'fails', { narinfo: 5, nar: 0 }],
    ['ni-html200', 'fails', { narinfo: 1, nar: 0 }],
    ['ni-unknownkey', 'built', { narinfo: 1, nar: 0 }],
    ['ni-narhash-hex', 'substituted', { narinfo: 1, nar: 1 }],
    ['ni-refs-nospace-empty', 'fails', { narinfo: 1, nar: 0 }],
    ['nar-trunc-ranges-once', 'substituted', { narinfo: 1, nar: 2 }],
    ['nar-trunc-noranges-once', 'fails', { narinfo: 1, nar: 1 }],
    ['nar-flip', 'fails', { narinfo: 1, nar: 1 }],
    ['nar-ce-xz', 'substituted', { narinfo: 1, nar: 1 }],
    ['bomb-zstd', 'fails', { narinfo: 1, nar: 1 }],
  ])('straight to an upstream with %s Nix has the path %s', async ([fault, outcome, counts], { expect }) => {
    const fixture = await smallClosure();
    await using upstream = await FaultyUpstream.start(fixture, fault);
    const build = await buildWanted(fixture, [upstream.url]);
    expect(build, build.stderr).toMatchObject({ outcome });
    expect(upstream.targetCounts()).toEqual(counts);
  });

  skippable(test, offlineSkipReason())('offline there is a loopback interface and nothing else', async () => {
    const fixture = await smallClosure();
    await using upstream = await FaultyUpstream.start(fixture, 'ok');
    await using offline = await Offline.start();
    expect((await offline.run(['ip', '-o', 'addr'])).stdout).toMatch(/^1: lo .*127\.0\.0\.1/);
    expect((await offline.run(['ip', 'route'])).stdout).toBe('');

    await using store = await PrivateStore.create({
      inside: offline,
      options: { substituters: upstream.url, 'connect-timeout': '1', 'download-attempts': '1' },
    });
    const { stderr } = await store.mustRun(['nix-build', '--no-out-link', '-A', 'wanted', smallExpression]);
    expect(stderr).toMatch(/^building .*small-b\.drv/m);
    expect(upstream.requests).toEqual([]);
  });
});
