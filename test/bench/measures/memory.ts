import { Nginx } from '../../e2e/harness/nginx.ts';
import { compiled } from '../compiled.ts';
import { download } from '../download.ts';
import { type NarCacheMaterial, narCache } from '../material/nar-cache.ts';
import { Relay } from '../relay.ts';
import type { Row } from '../report.ts';
import { tried } from '../tried.ts';
import { cpuSeconds } from '../usage.ts';
import type { Measure } from './measure.ts';

/** The relay's memory while much streams through it. */
export const memory: Measure = {
  name: 'memory',
  async take({ short }) {
    const cache = await narCache((short ? 32 : 200) * 1_000_000);
    const total = (short ? 1 : 5) * 2 ** 30;
    await using nginx = await Nginx.start(cache.directory);
    const program = await compiled();
    return {
      name: 'memory',
      method: `Clients take the NARs of the measure above in turn, in every compression, first from nginx and then from the cache directory, until ${total / 2 ** 30} GiB have been streamed.`,
      rows: [
        ...(await stream(1, total, cache, program, nginx.url)),
        ...(await stream(4, total, cache, program, nginx.url)),
      ],
    };
  },
};

async function stream(
  clients: number,
  total: number,
  { nars, publicKey }: NarCacheMaterial,
  program: string,
  substituter: string,
): Promise<Row[]> {
  await using relay = await Relay.start({ program, substituter, publicKey });
  const urls = await Promise.all(nars.map(({ hashPart }) => relay.narUrl(hashPart)));
  const before = await relay.memory();
  let asked = 0;
  let streamed = 0;
  const client = async () => {
    while (streamed < total) {
      const which = asked++ % nars.length;
      const [url, nar] = [urls[which], nars[which]];
      if (url === undefined || nar === undefined) return;
      await download(url, nar.narSize);
      streamed += nar.narSize;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const { peak } = await relay.memory();
  const cpu = await cpuSeconds(relay.pid);
  const row = (what: string, unit: string, figure: number): Row => ({
    what: `${clients} at once, ${what}`,
    unit,
    relay: [figure],
    beside: [],
  });
  return [
    { ...row('RSS at its peak', 'MiB', peak / 2 ** 20), aim: { atMost: 150, tried: tried.memory } },
    row('RSS before the first NAR', 'MiB', before.now / 2 ** 20),
    row('CPU', 'CPU s/GB', cpu / (streamed / 1e9)),
  ];
}
