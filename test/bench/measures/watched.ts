import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { emptyCounts, emptyNarinfoOfSource } from '../../../agent/telemetry/counts.ts';
import { Nginx } from '../../e2e/harness/nginx.ts';
import { TemporaryDirectory } from '../../e2e/harness/temporary-directory.ts';
import { compiled } from '../compiled.ts';
import { manyNarinfos } from '../material/many-narinfos.ts';
import { Relay } from '../relay.ts';
import { inTurn } from '../rounds.ts';
import { tried } from '../tried.ts';
import { load } from '../wrk.ts';
import type { Measure } from './measure.ts';

/** What it costs that somebody looks: narinfos from memory with a client on /events and one that asks for /stats each second. */
export const watched: Measure = {
  name: 'watched',
  async take({ short, rounds }) {
    const { directory, publicKey, presentList } = await manyNarinfos();
    await using upstream = await Nginx.start(directory, { config: 'access_log off;' });
    await using cache = await TemporaryDirectory.create('watched');
    await keepLongHistory(cache.path);
    await using relay = await Relay.start({
      program: await compiled(),
      substituter: upstream.url,
      publicKey,
      cacheDirectory: cache.path,
    });
    const seconds = short ? 1 : 5;
    const requests = async () => {
      const before = await cpuTime(relay.pid);
      const { requestsPerSecond } = await load(relay.url, { list: presentList }, seconds, 'found');
      const cpu = ((await cpuTime(relay.pid)) - before) / (requestsPerSecond * seconds);
      return { requestsPerSecond, cpu: 1_000 * cpu };
    };
    await requests();
    // Before and after, for whatever is done later is done warmer.
    const results = await inTurn(rounds, {
      before: requests,
      watched: async () => {
        using _ = new Watchers(relay.url);
        return await requests();
      },
      after: requests,
    });
    type Figure = 'requestsPerSecond' | 'cpu';
    const watched = (figure: Figure) => results.map(({ watched }) => watched[figure]);
    const unwatched = (figure: Figure) => {
      const samples = results.map(({ before, after }) => (before[figure] + after[figure]) / 2);
      return [{ name: 'unwatched', samples }];
    };
    const pages = await pageTimes(relay.url, short ? 100 : 1_000);
    return {
      name: 'watched',
      method: `wrk with 25 connections for ${seconds} s a turn on 1,000 narinfos in memory, before, while and after there is a client on /events and one that asks for /stats each second. Then /stats with 90 days of history and 64 sources in the totals, again and again over one connection.`,
      rows: [
        {
          what: 'memory hit, watched',
          unit: 'requests/s',
          relay: watched('requestsPerSecond'),
          beside: unwatched('requestsPerSecond'),
          aim: { beside: 'unwatched', atLeast: 0.97, tried: tried.watched },
        },
        // What the agent itself does more, whatever else the machine is at.
        {
          what: 'CPU time for one, watched',
          unit: 'µs',
          relay: watched('cpu'),
          beside: unwatched('cpu'),
          aim: { beside: 'unwatched', atMost: 1.03, tried: tried.watched },
        },
        { what: '/stats, p50', unit: 'ms', relay: [quantile(pages, 0.5)], beside: [], aim: { atMost: 1 } },
        { what: '/stats, p99', unit: 'ms', relay: [quantile(pages, 0.99)], beside: [] },
      ],
    };
  },
};

/** The dashboard and a status command, until disposed. */
class Watchers implements Disposable {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #timer: NodeJS.Timeout;

  constructor(url: string) {
    const watch = (path: string) =>
      get(`${url}${path}`, { agent: this.#agent }, (response) => response.resume()).on('error', () => {});
    watch('/events');
    this.#timer = setInterval(() => watch('/stats'), 1_000);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#agent.destroy();
  }
}

/** CPU time that a process has taken, in ms, as proc(5) has it (in ticks of 10 ms). */
async function cpuTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** The time of each of so many requests for /stats, one after the other, in ms. */
async function pageTimes(url: string, count: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  while (times.length < count) {
    const started = performance.now();
    const [response] = await once(get(`${url}/stats`, { agent }), 'response');
    response.resume();
    await once(response, 'end');
    times.push(performance.now() - started);
  }
  agent.destroy();
  return times;
}

function quantile(times: readonly number[], part: number): number {
  return times.toSorted((a, b) => a - b)[Math.floor(part * times.length)] ?? 0;
}

/** As the agent keeps it: 90 days, and as many sources as are counted by themselves. */
async function keepLongHistory(cacheDirectory: string): Promise<void> {
  const { narinfo, nar, ...others } = emptyCounts();
  const { bySource: _, ...narinfos } = narinfo;
  const { bySource: __, ...nars } = nar;
  const days = Array.from({ length: 90 }, (_, n) => ({
    day: new Date(Date.UTC(2026, 0, 1 + n)).toISOString().slice(0, 10),
    narinfo: { ...narinfos, requests: 123_456 + n, hits: 123_456 + n },
    nar: nars,
    ...others,
  }));
  const totals = emptyCounts();
  for (let n = 0; n < 64; n += 1)
    totals.narinfo.bySource[`http://192.168.0.${n}:6271`] = { ...emptyNarinfoOfSource('lan'), asked: n };
  await mkdir(join(cacheDirectory, 'state'), { recursive: true });
  const kept = { version: 1, since: '2026-01-01T00:00:00.000Z', totals, days };
  await writeFile(join(cacheDirectory, 'state/totals.json'), JSON.stringify(kept));
}
