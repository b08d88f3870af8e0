import { beforeAll, describe, expect, test } from 'vitest';
import { hashPartOf } from '../fixtures/closure.ts';
import { type BigNar, bigNar } from './harness/big-nar.ts';
import { type Downloaded, download, narUrl, sha256Of } from './harness/download.ts';
import { figuresTold } from './harness/figures.ts';
import { Link } from './harness/link.ts';
import { makeClosure } from './harness/made-closure.ts';
import { Nginx } from './harness/nginx.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { Random } from './harness/random.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const mib = 1024 * 1024;

skippable(describe, privateStoreSkipReason())('many clients', { timeout: 120_000 }, () => {
  const figures = figuresTold();
  let big: BigNar;

  beforeAll(async () => {
    big = await bigNar(20);
  });

  const expectWhole = (got: Downloaded) =>
    expect(got).toMatchObject({ status: 200, complete: true, bytes: big.narSize, sha256: sha256Of(big) });

  test('I5, I8: 20 of one cold NAR cost one request and 150 MiB at most, and one that reads 1 KB a second delays none', async () => {
    await using nginx = await Nginx.start(big.caches.xz.dir);
    await using link = await Link.start(nginx.url, { bytesPerSecond: 4_000_000 });
    await using relay = await RelayProcess.start({
      substituters: [link.url],
      'trusted-public-keys': [big.publicKey],
    });
    const url = await narUrl(relay.url, big);
    const leave = new AbortController();
    const slow = download(url, { bytesPerSecond: 1_000, signal: leave.signal });
    const all = await Promise.all(Array.from({ length: 20 }, () => download(url)));
    const { peak } = await relay.memory();
    leave.abort();
    const { bytes, complete } = await slow;

    for (const got of all) expectWhole(got);
    expect(link.nars).toHaveLength(1);
    expect(complete).toBe(false);
    const longest = Math.max(...all.map(({ ms }) => ms));
    const alone = (1_000 * big.caches.xz.fileSize) / 4_000_000;
    figures.push(
      `20 clients: ${Math.round(longest)} ms, ${Math.round(alone)} ms is what the link takes; the slow one had ${bytes} bytes; RSS ${Math.round(peak / mib)} MiB at most`,
    );
    expect(longest).toBeLessThan(alone + 3_000);
    expect(peak).toBeLessThan(150 * mib);
  });

  test('I8: 16 transfers share a slow link, and none of them starves', async () => {
    await using directory = await TemporaryDirectory.create('share');
    const sizes = Array.from({ length: 16 }, () => 1_000_000);
    const { dir, publicKey, paths } = await makeClosure(directory.path, sizes, Random.seeded('share'));
    await using nginx = await Nginx.start(dir);
    await using link = await Link.start(nginx.url, { bytesPerSecond: 1_000_000 });
    await using relay = await RelayProcess.start({
      substituters: [link.url],
      'trusted-public-keys': [publicKey],
      'stalled-download-timeout': '3s',
    });
    const all = await Promise.all(
      paths.map(async ({ path, narHash, narSize }) => {
        const url = await narUrl(relay.url, { hashPart: hashPartOf(path) });
        return { narHash, narSize, got: await download(url) };
      }),
    );
    for (const { narHash, narSize, got } of all)
      expect(got).toMatchObject({ complete: true, bytes: narSize, sha256: sha256Of({ narHash }) });
    const times = all.map(({ got }) => Math.round(got.ms));
    figures.push(`16 NARs over one link: ended after ${Math.min(...times)} to ${Math.max(...times)} ms`);
    expect(relay.logs().filter(({ msg }) => msg === 'transfer interrupted')).toEqual([]);
    expect(link.nars).toHaveLength(16);
  });
});
