import { beforeAll, describe, expect, test } from 'vitest';
import { type BigNar, bigNar } from './harness/big-nar.ts';
import { download, narUrl, sha256Of } from './harness/download.ts';
import { figuresTold } from './harness/figures.ts';
import { Link } from './harness/link.ts';
import { Nginx } from './harness/nginx.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { Random } from './harness/random.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';

/** Quick for a slow link, and slower than what the relay takes, so that what is sent has as good as arrived. */
const bytesPerSecond = 3_000_000;

skippable(describe, privateStoreSkipReason())('a link that is cut 20 times', () => {
  const figures = figuresTold();
  let big: BigNar;
  let random: Random;

  beforeAll(async () => {
    random = Random.seeded('cut links');
    big = await bigNar();
  });

  test.for(['xz', 'zstd'] as const)(
    'I5: a %s file crosses it once, and neither real Nix nor another client notices',
    { timeout: 300_000 },
    async (compression) => {
      const { dir, fileSize } = big.caches[compression];
      await using nginx = await Nginx.start(dir);
      await using link = await Link.start(nginx.url, { bytesPerSecond });
      await using relay = await RelayProcess.start({
        substituters: [link.url],
        'trusted-public-keys': [big.publicKey],
        'log-level': 'debug',
      });
      await using store = await PrivateStore.create({ options: { 'trusted-public-keys': big.publicKey } });
      link.cutAt(
        Array.from({ length: 20 }, (_, n) => Math.floor((fileSize * (n + 0.1 + 0.8 * random.next())) / 20)),
      );

      const [got, copied] = await Promise.all([
        download(await narUrl(relay.url, big)),
        store.mustRun(['nix', 'copy', '--from', relay.url, big.path], { timeoutMs: 280_000 }),
      ]);
      expect(got).toMatchObject({ status: 200, complete: true, bytes: big.narSize, sha256: sha256Of(big) });
      await store.mustVerify([big]);

      const more = link.bytes / fileSize - 1;
      figures.push(
        `${compression}: ${(more * 100).toFixed(2)} % more than the file crossed the link in ${link.nars.length} requests; ${Math.round(got.ms)} ms, nix copy ${Math.round(copied.ms)} ms`,
      );
      expect(link.nars).toHaveLength(21);
      expect(more).toBeLessThanOrEqual(0.01);
      const asked = relay
        .logs()
        .filter(({ msg, url }) => msg === 'request' && String(url).startsWith('/nar/'));
      expect(asked).toHaveLength(2);
    },
  );
});
