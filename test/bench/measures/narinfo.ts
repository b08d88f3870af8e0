import { randomInt } from 'node:crypto';
import { Nginx } from '../../e2e/harness/nginx.ts';
import { compiled } from '../compiled.ts';
import { manyNarinfos } from '../material/many-narinfos.ts';
import { Relay } from '../relay.ts';
import type { Row } from '../report.ts';
import { inTurn } from '../rounds.ts';
import { tried } from '../tried.ts';
import { type LoadResult, load } from '../wrk.ts';
import type { Measure, Size } from './measure.ts';

type Round = Record<'relay' | 'nginx', LoadResult>;

/** nginx without its log, and without closing a connection now and then. */
const atItsBest = 'access_log off; keepalive_requests 1000000000;';

/** Narinfos: from memory, absent and known to be, absent and asked of the upstream. */
export const narinfo: Measure = {
  name: 'narinfo',
  async take({ short, rounds }: Size) {
    const { directory, publicKey, presentList, absentList } = await manyNarinfos();
    await using upstream = await Nginx.start(directory, { config: atItsBest });
    await using nginx = await Nginx.start(directory, { config: atItsBest });
    await using relay = await Relay.start({
      program: await compiled(),
      substituter: upstream.url,
      publicKey,
    });
    const seconds = short ? 1 : 5;

    const hit = (url: string) => () => load(url, { list: presentList }, seconds, 'found');
    const knownAbsent = (url: string) => () => load(url, { list: absentList }, seconds, 'absent');
    const freshAbsent = (url: string) => () => load(url, { freshWithPrefix: prefix() }, seconds, 'absent');
    const compare = async (request: (url: string) => () => Promise<LoadResult>) => {
      await request(relay.url)();
      return await inTurn(rounds, { relay: request(relay.url), nginx: request(nginx.url) });
    };
    return {
      name: 'narinfo',
      method: `wrk with 25 connections and one thread for ${seconds} s a turn: 1,000 narinfos that the relay has in memory; 1,000 that nobody has, known to be absent; and narinfos that nobody has, each asked for once, so that the relay asks its upstream. Beside an nginx with one worker that serves the same files.`,
      rows: [
        ...rows('memory hit', await compare(hit), 0.4),
        ...rows('absent, known', await compare(knownAbsent)),
        ...rows('absent, upstream asked', await compare(freshAbsent)),
      ],
    };
  },
};

function rows(what: string, results: readonly Round[], atLeast?: number): Row[] {
  const row = (unit: string, figure: (result: LoadResult) => number): Row => ({
    what,
    unit,
    relay: results.map(({ relay }) => figure(relay)),
    beside: [{ name: 'nginx', samples: results.map(({ nginx }) => figure(nginx)) }],
  });
  const requests = row('requests/s', ({ requestsPerSecond }) => requestsPerSecond);
  return [
    atLeast === undefined
      ? requests
      : { ...requests, aim: { beside: 'nginx', atLeast, tried: tried.narinfos } },
    row('ms, p50', ({ p50 }) => p50),
    row('ms, p99', ({ p99 }) => p99),
  ];
}

/** Ten digits, which are base32: no two turns ask for the same paths. */
function prefix(): string {
  return String(randomInt(1e9, 1e10));
}
