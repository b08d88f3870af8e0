import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { open, readdir, rm } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, type FixturePath, hashPartOf, largeClosure, pathNamed } from '../fixtures/closure.ts';
import { CacheCheck } from './harness/cache-check.ts';
import { Nginx } from './harness/nginx.ts';
import { PacedUpstream } from './harness/paced-upstream.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';
import { SmallDisk, smallDiskSkipReason } from './harness/small-disk.ts';
import { digestOfBase32, field } from './harness/spoiled-narinfo.ts';

const mib = 1024 * 1024;

skippable(describe, smallDiskSkipReason() ?? privateStoreSkipReason())('a full disk', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await largeClosure();
  });

  function configFor(disk: SmallDisk, upstream: string) {
    return {
      substituters: [upstream],
      'trusted-public-keys': [fixture.publicKey],
      cache: { dir: `${disk.path}/cache`, 'min-free': '0', 'max-size': '0' },
    };
  }

  test('that fills up in the middle of a NAR is not noticed by its reader, and is used again when there is room', {
    timeout: 60_000,
  }, async () => {
    await using disk = await SmallDisk.start(128 * mib);
    await using upstream = await PacedUpstream.start(fixture.dir, 20_000_000);
    await using relay = await RelayProcess.start(configFor(disk, upstream.url), { inside: disk });
    const target = pathNamed(fixture, 'top-leaf-0');

    const reading = readNar(relay, target);
    for (let came = 0; came < 10 * mib; ) came += (await once(upstream, 'nar'))[0];
    await fill(disk);
    expect(await reading).toBe(target.narHash);
    await relay.logged('the cache directory takes no writes: relaying without storing');

    await rm(disk.locate('filler'));
    await relay.logged('the cache directory takes writes again');
    const other = pathNamed(fixture, 'upper-leaf-0');
    expect(await readNar(relay, other)).toBe(other.narHash);
    await relay.stop();
    expect(await narinfosIn(disk)).toEqual([`${hashPartOf(other.path)}.narinfo`]);
    expect(await new CacheCheck(disk.locate('cache')).wrong()).toEqual([]);
  });

  test('with room for a quarter of a closure lets all of it through to Nix', {
    timeout: 120_000,
  }, async () => {
    await using disk = await SmallDisk.start(16 * mib);
    await using nginx = await Nginx.start(fixture.dir);
    await using relay = await RelayProcess.start(configFor(disk, nginx.url), { inside: disk });
    const options = { substituters: relay.url, 'trusted-public-keys': fixture.publicKey };
    await using store = await PrivateStore.create({ options });
    await store.mustRun(['nix-store', '--realise', fixture.top]);
    await store.mustVerify(fixture.paths);

    const nars = (await nginx.requests()).filter(({ uri }) => uri.startsWith('/nar/'));
    expect(nars.map(({ uri }) => uri).sort()).toEqual(fixture.paths.map(({ url }) => `/${url}`).sort());
    await relay.stop();
    expect((await narinfosIn(disk)).length).toBeGreaterThan(0);
    expect(await new CacheCheck(disk.locate('cache')).wrong()).toEqual([]);
  });
});

/** Takes the last byte that the disk has left. */
async function fill(disk: SmallDisk): Promise<void> {
  await using filler = await open(disk.locate('filler'), 'w');
  for (const size of [mib, 4096]) {
    const zeros = Buffer.alloc(size);
    for (let full = false; !full; ) {
      full = await filler.write(zeros).then(
        ({ bytesWritten }) => bytesWritten < size,
        (error: NodeJS.ErrnoException) => error.code === 'ENOSPC' || Promise.reject(error),
      );
    }
  }
}

async function narinfosIn(disk: SmallDisk): Promise<string[]> {
  return (await readdir(disk.locate('cache'))).filter((name) => name.endsWith('.narinfo'));
}

async function readNar(relay: RelayProcess, path: FixturePath): Promise<string> {
  const nar = await fetch(await narUrl(relay, path));
  const hash = createHash('sha256');
  for await (const chunk of nar.body ?? []) hash.update(chunk);
  return hash.digest().equals(digestOfBase32(path.narHash.slice('sha256:'.length)))
    ? path.narHash
    : 'another';
}

async function narUrl(relay: RelayProcess, { path }: FixturePath): Promise<string> {
  const narinfo = await fetch(`${relay.url}/${hashPartOf(path)}.narinfo`);
  return `${relay.url}/${field(await narinfo.text(), 'URL')}`;
}
