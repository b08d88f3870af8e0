import { Nginx } from '../../e2e/harness/nginx.ts';
import { compiled } from '../compiled.ts';
import { download } from '../download.ts';
import { narCache } from '../material/nar-cache.ts';
import { Relay } from '../relay.ts';
import { cpuSeconds } from '../usage.ts';
import type { Measure } from './measure.ts';

const clients = 8;

/** The relay's memory while much streams through it. */
export const memory: Measure = {
  name: 'memory',
  async take({ short }) {
    const cache = await narCache((short ? 32 : 200) * 1_000_000);
    await using nginx = await Nginx.start(cache.directory);
    await using relay = await Relay.start({
      program: await compiled(),
      substituter: nginx.url,
      publicKey: cache.publicKey,
    });
    const total = (short ? 1 : 5) * 2 ** 30;
    const nars = await Promise.all(
      cache.nars.map(async ({ hashPart, narSize }) => ({ url: await relay.narUrl(hashPart), narSize })),
    );
    const before = await relay.memory();
    let asked = 0;
    let streamed = 0;
    const client = async () => {
      while (streamed < total) {
        const nar = nars[asked++ % nars.length];
        if (nar === undefined) return;
        await download(nar.url, nar.narSize);
        streamed += nar.narSize;
      }
    };
    await Promise.all(Array.from({ length: clients }, client));
    const { peak } = await relay.memory();
    const cpu = await cpuSeconds(relay.pid);
    const row = (what: string, unit: string, figure: number) => ({ what, unit, relay: [figure], beside: [] });
    return {
      name: 'memory',
      method: `${clients} clients at once take the NARs of the measure before in turn, in all compressions, first from nginx and then from the cache directory, until ${total / 2 ** 30} GiB have been streamed.`,
      rows: [
        { ...row('RSS, peak', 'MiB', peak / 2 ** 20), aim: { atMost: 150 } },
        row('RSS, before the first NAR', 'MiB', before.now / 2 ** 20),
        row('CPU, all compressions', 'CPU s/GB', cpu / (streamed / 1e9)),
      ],
    };
  },
};
