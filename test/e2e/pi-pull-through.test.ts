import { expect, test } from 'vitest';
import { bigNar } from './harness/big-nar.ts';
import { download, narUrl, sha256Of } from './harness/download.ts';
import { PacedUpstream } from './harness/paced-upstream.ts';
import { Pi } from './harness/pi.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';

/** 200 is what people wait for; fewer show the same within seconds. */
const megabytes = Number(process.env['NARROWCAST_PULL_MB'] ?? 8);
/** 8 Mbit/s. */
const bytesPerSecond = 1_000_000;
const clients = 10;

skippable(test, privateStoreSkipReason())(
  `${clients} clients at once ask a pull-through Pi for one cold path of ${megabytes} MB: one transfer, all done with it`,
  { timeout: 120_000 + megabytes * 4_000 },
  async () => {
    const nar = await bigNar(megabytes, 'pulled');
    const { dir, fileSize } = nar.caches.xz;
    const pull = async (count: number) => {
      await using upstream = await PacedUpstream.start(dir, bytesPerSecond);
      await using pi = await Pi.start({
        publicKey: nar.publicKey,
        substituters: [upstream.url],
        pullThrough: true,
      });
      const url = await narUrl(pi.url, nar);
      const results = await Promise.all(Array.from({ length: count }, () => download(url)));
      for (const { complete, sha256 } of results) expect([complete, sha256]).toEqual([true, sha256Of(nar)]);
      expect(upstream.crossed.nars).toBe(fileSize);
      // The narinfo and nix-cache-info are the rest.
      expect(upstream.crossed.rest).toBeLessThan(5_000);
      return Math.max(...results.map(({ ms }) => ms));
    };
    const alone = await pull(1);
    const together = await pull(clients);
    const link = (fileSize * 1_000) / bytesPerSecond;
    process.stdout.write(
      `  ${fileSize} bytes over the link, ${Math.round(link)} ms: one client ${Math.round(alone)} ms, the slowest of ${clients} ${Math.round(together)} ms\n`,
    );
    expect(together).toBeLessThanOrEqual(1.05 * Math.max(alone, link));
  },
);
