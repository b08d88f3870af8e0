import { beforeAll, describe, expect, test } from 'vitest';
import { type BigCompression, type BigNar, bigNar } from './harness/big-nar.ts';
import { download, narUrl, sha256Of } from './harness/download.ts';
import { figuresTold } from './harness/figures.ts';
import { Link } from './harness/link.ts';
import { Nginx } from './harness/nginx.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';

type Death = 'RST' | 'FIN' | 'silence' | 'SIGSTOP';

interface Case {
  readonly death: Death;
  /** Where in the file, in percent. */
  readonly at: number;
  /** What the upstream has; the LAN has xz. */
  readonly upstream: BigCompression;
}

const cases: readonly Case[] = [
  { death: 'RST', at: 10, upstream: 'xz' },
  { death: 'RST', at: 50, upstream: 'zstd' },
  { death: 'RST', at: 99, upstream: 'xz' },
  { death: 'FIN', at: 10, upstream: 'zstd' },
  { death: 'FIN', at: 50, upstream: 'xz' },
  { death: 'FIN', at: 99, upstream: 'zstd' },
  { death: 'silence', at: 50, upstream: 'xz' },
  { death: 'SIGSTOP', at: 50, upstream: 'xz' },
];

/** Slower than what the relay takes, so that what is sent has as good as arrived. */
const bytesPerSecond = 4_000_000;
/** Silence for so long, in ms, is a stall. */
const stall = 2_000;

skippable(describe, privateStoreSkipReason())('a cache on the LAN that dies', () => {
  const figures = figuresTold();
  let big: BigNar;

  beforeAll(async () => {
    big = await bigNar(20);
  });

  test.for(cases)(
    'I6: by $death at $at %: the stream goes on from an upstream that has $upstream',
    { timeout: 60_000 },
    async ({ death, at, upstream }) => {
      const { xz } = big.caches;
      const dies = Math.floor((xz.fileSize * at) / 100);
      await using pi = await Nginx.start(xz.dir);
      await using lan = await Link.start(pi.url, { bytesPerSecond });
      await using web = await Nginx.start(big.caches[upstream].dir);
      await using wan = await Link.start(web.url, { bytesPerSecond });
      await using relay = await RelayProcess.start({
        substituters: [wan.url],
        'trusted-public-keys': [big.publicKey],
        'stalled-download-timeout': `${stall / 1_000}s`,
        lan: { discover: false, advertise: false, listen: '', peers: [lan.url] },
      });
      await relay.logged('cache found on the LAN');

      const url = await narUrl(relay.url, big);
      const downloading = download(url);
      await lan.carried(dies);
      const died = Date.now();
      const noticed = relay.logged('transfer interrupted').then(({ time }) => Date.parse(String(time)));
      if (death === 'RST') lan.close('reset');
      if (death === 'FIN') lan.close('end');
      if (death === 'silence') lan.fallSilent();
      if (death === 'SIGSTOP') await pi.freeze();
      const got = await downloading;
      expect(got).toMatchObject({ status: 200, complete: true, bytes: big.narSize, sha256: sha256Of(big) });

      const [request, ...more] = wan.nars;
      if (request === undefined) throw new Error('the upstream was not asked');
      expect(more).toEqual([]);
      const noticing = (await noticed) - died;
      const took = request.at - (await noticed);
      // What a frozen server had sent before still comes.
      expect(noticing).toBeLessThan(death === 'RST' || death === 'FIN' ? 1_000 : stall + 3_000);
      expect(took).toBeLessThan(1_000);
      const kept = Number(request.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
      const twice = lan.bytes + wan.bytes - xz.fileSize;
      figures.push(
        `${death} at ${at} %, ${upstream}: noticed after ${noticing} ms, upstream asked after ${took} ms; ${kept === 0 ? 'decoded anew' : `went on at byte ${kept}, ${((100 * twice) / xz.fileSize).toFixed(2)} % of the file came twice`}`,
      );
      if (upstream !== 'xz') return expect(wan.bytes).toBeLessThan(1.01 * big.caches[upstream].fileSize);
      expect(kept).toBeGreaterThan(0);
      expect(twice).toBeLessThan(0.02 * xz.fileSize);
    },
  );
});
