import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Nginx } from '../../e2e/harness/nginx.ts';
import { compiled } from '../compiled.ts';
import { decodeToNowhere } from '../decode-to-nowhere.ts';
import { download } from '../download.ts';
import { type NarCacheMaterial, narCache, type StoredNar } from '../material/nar-cache.ts';
import { Relay } from '../relay.ts';
import type { Beside, Row } from '../report.ts';
import { inTurn } from '../rounds.ts';
import { tried } from '../tried.ts';
import { cpuSeconds } from '../usage.ts';
import type { Measure } from './measure.ts';

interface Pass {
  readonly seconds: number;
  /** CPU time of the relay's process. */
  readonly cpu: number;
}

const passes = ['cold', 'decoded again', 'as stored'] as const;
const aims: Partial<Record<string, number>> = { xz: 0.5, zstd: 0.7 };

/** NARs in each compression: cold through the relay, then from its disk, decoded and as they are stored. */
export const nar: Measure = {
  name: 'nar',
  async take({ short, rounds }) {
    const cache = await narCache((short ? 32 : 200) * 1_000_000);
    await using nginx = await Nginx.start(cache.directory);
    const program = await compiled();
    const rows: Row[] = [];
    for (const stored of cache.nars) rows.push(...(await compare(program, stored, cache, nginx, rounds)));
    return {
      name: 'nar',
      method: `A NAR of ${Math.round((cache.nars[0]?.narSize ?? 0) / 1e6)} MB made of files of /usr/lib; speeds in decoded MB (10⁶ bytes) a second. Cold: from nginx on loopback through a relay with an empty cache directory, which decodes, verifies and stores it, to curl. Decoded again: from that relay's cache directory, for a client that was told of the decoded NAR while it was cold. As stored: what a client gets that asks for the narinfo now, and decodes itself. Beside curl from the same nginx of the file as it is (not decoded, not verified), and the usual program that decodes the file.`,
      rows,
    };
  },
};

async function compare(
  program: string,
  stored: StoredNar,
  cache: NarCacheMaterial,
  nginx: Nginx,
  rounds: number,
): Promise<Row[]> {
  const { compression, decoder, narSize, fileSize, url } = stored;
  const results = await inTurn(rounds, {
    relay: () => threeTimes(program, stored, cache, nginx),
    curl: () => download(`${nginx.url}/${url}`, fileSize),
    decoder: () => (decoder === undefined ? Promise.resolve(Number.NaN) : decodeToNowhere(decoder)),
  });
  const megabytes = narSize / 1e6;
  const curl = { name: 'nginx → curl', samples: results.map(({ curl }) => megabytes / curl) };
  const decoding = decoder && {
    name: decoder.slice(0, 2).join(' '),
    samples: results.map(({ decoder }) => megabytes / decoder),
  };
  const beside: Beside[] = decoding === undefined ? [curl] : [decoding, curl];
  const atLeast = aims[compression];
  const aim = decoding !== undefined &&
    atLeast !== undefined && { aim: { beside: decoding.name, atLeast, tried: tried.decoding } };
  return passes.flatMap((pass) => [
    {
      what: `${compression}, ${pass}`,
      unit: 'MB/s',
      relay: results.map(({ relay }) => megabytes / relay[pass].seconds),
      ...(pass === 'as stored' ? { beside: [curl] } : { beside, ...aim }),
    },
    {
      what: `${compression}, ${pass}`,
      unit: 'CPU s/GB',
      relay: results.map(({ relay }) => relay[pass].cpu / (megabytes / 1e3)),
      beside: [],
    },
  ]);
}

async function threeTimes(
  program: string,
  { hashPart, narSize, fileSize }: StoredNar,
  { publicKey }: NarCacheMaterial,
  upstream: Nginx,
): Promise<Record<(typeof passes)[number], Pass>> {
  await using relay = await Relay.start({ program, substituter: upstream.url, publicKey });
  const pass = async (url: string, size: number) => {
    const before = await cpuSeconds(relay.pid);
    const seconds = await download(url, size);
    return { seconds, cpu: (await cpuSeconds(relay.pid)) - before };
  };
  const decoded = await relay.narUrl(hashPart);
  const cold = await pass(decoded, narSize);
  await stored(join(relay.cacheDirectory, `${hashPart}.narinfo`));
  const again = await pass(decoded, narSize);
  return { cold, 'decoded again': again, 'as stored': await pass(await relay.narUrl(hashPart), fileSize) };
}

/** The relay stores what it has sent; the next reader should find it whole. */
async function stored(narinfo: string): Promise<void> {
  for (let waited = 0; !existsSync(narinfo); waited += 10) {
    if (waited > 60_000) throw new Error(`The relay has not stored ${narinfo} within a minute.`);
    await setTimeout(10);
  }
  await setTimeout(100);
}
