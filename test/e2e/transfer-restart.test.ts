import { beforeAll, describe, expect, test } from 'vitest';
import { type BigNar, bigNar } from './harness/big-nar.ts';
import { download, narUrl, sha256Of } from './harness/download.ts';
import { figuresTold } from './harness/figures.ts';
import { Link } from './harness/link.ts';
import { Nginx } from './harness/nginx.ts';
import { freePort } from './harness/ports.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const bytesPerSecond = 6_000_000;

skippable(describe, privateStoreSkipReason())(
  'an agent that stops in mid-transfer',
  { timeout: 120_000 },
  () => {
    const figures = figuresTold();
    let big: BigNar;

    beforeAll(async () => {
      big = await bigNar();
    });

    const more = (link: Link) => link.bytes / big.caches.xz.fileSize - 1;

    test('I5: killed and started again behind a socket that somebody holds: nix copy ends, and nothing is fetched twice', async () => {
      await using directory = await TemporaryDirectory.create('restart');
      await using nginx = await Nginx.start(big.caches.xz.dir);
      await using link = await Link.start(nginx.url, { bytesPerSecond });
      const port = await freePort();
      const config = {
        listen: `localhost:${port}`,
        substituters: [link.url],
        'trusted-public-keys': [big.publicKey],
        cache: { dir: directory.path },
      };
      await using held = await Link.start(`http://127.0.0.1:${port}`, { holds: true });
      await using store = await PrivateStore.create({ options: { 'trusted-public-keys': big.publicKey } });

      await using first = await RelayProcess.start(config);
      const copying = store.run(['nix', 'copy', '--from', held.url, big.path]);
      await link.carried(0.4 * big.caches.xz.fileSize);
      process.kill(first.pid, 'SIGKILL');
      const killed = performance.now();
      await using second = await RelayProcess.start(config);
      const away = performance.now() - killed;
      const { code, stderr, ms } = await copying;
      expect(code, stderr).toBe(0);
      await store.mustVerify([big]);

      figures.push(
        `SIGKILL at 40 %, away for ${Math.round(away)} ms: ${(100 * more(link)).toFixed(2)} % more than the file crossed the link; nix copy ${Math.round(ms)} ms`,
      );
      expect(link.nars).toHaveLength(2);
      expect(held.nars.map(({ range }) => range === undefined)).toEqual([true, false]);
      expect(more(link)).toBeLessThanOrEqual(0.02);
      expect(second.logs().filter(({ level }) => level === 'error')).toEqual([]);
    });

    test('I5: asleep while its connections die: it notices by their silence, and goes on', async () => {
      await using nginx = await Nginx.start(big.caches.xz.dir);
      await using link = await Link.start(nginx.url, { bytesPerSecond });
      await using relay = await RelayProcess.start({
        substituters: [link.url],
        'trusted-public-keys': [big.publicKey],
        'stalled-download-timeout': '2s',
      });
      const downloading = download(await narUrl(relay.url, big));
      await link.carried(0.4 * big.caches.xz.fileSize);
      process.kill(relay.pid, 'SIGSTOP');
      link.forget();
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      process.kill(relay.pid, 'SIGCONT');
      const got = await downloading;
      expect(got).toMatchObject({ status: 200, complete: true, bytes: big.narSize, sha256: sha256Of(big) });
      figures.push(
        `asleep for 3 s at 40 %: ${(100 * more(link)).toFixed(2)} % more than the file crossed the link; ${Math.round(got.ms)} ms`,
      );
      expect(link.nars).toHaveLength(2);
      expect(more(link)).toBeLessThanOrEqual(0.02);
    });
  },
);
