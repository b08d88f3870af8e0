import { Nginx } from '../../e2e/harness/nginx.ts';
import { compiled } from '../compiled.ts';
import { type ClosureMaterial, closureOf } from '../material/closure.ts';
import { NginxProxy } from '../nginx-proxy.ts';
import { NixClient } from '../nix-client.ts';
import { Relay } from '../relay.ts';
import type { Aim, Beside, Row } from '../report.ts';
import { inTurn } from '../rounds.ts';
import { type Shape, SlowLink } from '../slow-link.ts';
import { tried } from '../tried.ts';
import { cpuSeconds } from '../usage.ts';
import type { Measure } from './measure.ts';

/** How one contestant did: with nothing of the closure at hand, then once more for another machine. */
interface Result {
  readonly cold: number;
  readonly warm: number;
  /** Of all bytes of NAR files and narinfos, what crossed the link. */
  readonly crossed: number;
}

interface RelayResult extends Result {
  readonly cpu: number;
  readonly peak: number;
}

const mbit = 1e6;
/** Each with how many paths go over it: half a minute's worth at most. */
const networks: readonly { readonly shape: Shape; readonly paths: number }[] = [
  { shape: { bitsPerSecond: 2 * mbit, roundTrip: 100 }, paths: 30 },
  { shape: { bitsPerSecond: 8 * mbit }, paths: 100 },
  { shape: { bitsPerSecond: 8 * mbit, roundTrip: 100 }, paths: 300 },
  { shape: { bitsPerSecond: 100 * mbit }, paths: 300 },
  { shape: { bitsPerSecond: 100 * mbit, roundTrip: 100 }, paths: 300 },
  { shape: {}, paths: 300 },
];
const quick = [{ shape: { bitsPerSecond: 100 * mbit, roundTrip: 100 }, paths: 30 }];

/** A closure on networks of every kind: the relay, real Nix without it, and nginx with proxy_cache. */
export const closure: Measure = {
  name: 'closure',
  async take({ short, rounds, against }) {
    const program = await compiled();
    const rows: Row[] = [];
    for (const { shape, paths } of short ? quick : networks)
      rows.push(...(await compare(shape, await closureOf(paths), program, rounds, against)));
    return {
      name: 'closure',
      method:
        'Real Nix substitutes a closure (as many paths as the row says, xz) into a fresh store, 16 NARs at once: straight from an nginx behind the link, through an nginx with proxy_cache, and through the relay. Cold: nothing at hand. Warm: once more into another fresh store. The link is a relay of this benchmark\'s own with that rate and round-trip time; "bytes ÷ rate" is what it needs for the NAR files at the least.',
      rows,
    };
  },
};

async function compare(
  shape: Shape,
  material: ClosureMaterial,
  program: string,
  rounds: number,
  against: readonly string[],
): Promise<Row[]> {
  await using nginx = await Nginx.start(material.directory);
  const client = new NixClient(material.publicKey);
  const overLink = async <T extends Result>(run: (link: SlowLink) => Promise<T>): Promise<T> => {
    await using link = await SlowLink.start(nginx.url, shape);
    return { ...(await run(link)), crossed: link.bytes };
  };
  const throughNginx = (link: SlowLink) => proxied(client, material, () => NginxProxy.start(link.url));
  const results = await inTurn(rounds, {
    relay: () => overLink((link) => relayed(client, material, program, link)),
    direct: () => overLink((link) => once(client, material, link.url)),
    proxy: () => overLink(throughNginx),
    ...(against.length > 0 && { others: () => all(against, (url) => coldAndWarm(client, material, url)) }),
  });
  const least = shape.bitsPerSecond && (material.fileBytes * 8) / shape.bitsPerSecond;
  const beside = (pass: 'cold' | 'warm'): Beside[] => [
    { name: 'direct', samples: results.map(({ direct }) => direct[pass]) },
    { name: 'nginx proxy_cache', samples: results.map(({ proxy }) => proxy[pass]) },
    ...against.map((url, i) => ({
      name: url,
      samples: results.map(({ others }) => others?.[i]?.[pass] ?? Number.NaN),
    })),
  ];
  const where = `${describe(shape)}, ${material.paths} paths of ${(material.fileBytes / 1e6).toFixed(0)} MB`;
  const row = (what: string, unit: string, figure: (result: RelayResult) => number): Row => ({
    what: `${where}: ${what}`,
    unit,
    relay: results.map(({ relay }) => figure(relay)),
    beside: [],
  });
  return [
    { ...row('cold', 's', ({ cold }) => cold), beside: beside('cold'), ...aimOf(shape) },
    ...(least === undefined
      ? []
      : [
          {
            ...row('cold', 's', ({ cold }) => cold),
            beside: [{ name: 'bytes ÷ rate', samples: results.map(() => least) }],
            ...(isSlow(shape) && { aim: { beside: 'bytes ÷ rate', atMost: 1.05, tried: tried.slowLink } }),
          },
        ]),
    {
      ...row('warm', 's', ({ warm }) => warm),
      beside: beside('warm'),
      ...(isLan(shape) && { aim: { beside: 'direct', atMost: 1, tried: tried.warmClosure } }),
    },
    {
      ...row('over the link', 'MB', ({ crossed }) => crossed / 1e6),
      beside: [{ name: 'direct', samples: results.map(({ direct }) => direct.crossed / 1e6) }],
    },
    row("relay's CPU, both passes", 's', ({ cpu }) => cpu),
    {
      ...row("relay's RSS at its peak", 'MiB', ({ peak }) => peak / 2 ** 20),
      aim: { atMost: 150, tried: tried.memory },
    },
  ];
}

/** Without anything in between the second time is as the first. */
async function once(client: NixClient, { top }: ClosureMaterial, url: string): Promise<Result> {
  const cold = await client.realise(url, top);
  return { cold, warm: cold, crossed: 0 };
}

/** What narrowcast is for: a slow link, far away. */
function isSlow({ bitsPerSecond, roundTrip }: Shape): boolean {
  return bitsPerSecond === 8 * mbit && roundTrip === 100;
}

function aimOf(shape: Shape): { aim?: Aim } {
  if (isSlow(shape)) return { aim: { beside: 'direct', atMost: 0.8, tried: tried.slowLink } };
  return isLan(shape) ? { aim: { beside: 'direct', atMost: 1.1, tried: tried.coldClosure } } : {};
}

function isLan({ bitsPerSecond }: Shape): boolean {
  return bitsPerSecond === undefined;
}

function describe({ bitsPerSecond, roundTrip = 0 }: Shape): string {
  return bitsPerSecond === undefined ? 'no limit (LAN)' : `${bitsPerSecond / mbit} Mbit/s, ${roundTrip} ms`;
}

async function coldAndWarm(client: NixClient, { top }: ClosureMaterial, url: string): Promise<Result> {
  const cold = await client.realise(url, top);
  return { cold, warm: await client.realise(url, top), crossed: 0 };
}

async function proxied(
  client: NixClient,
  material: ClosureMaterial,
  start: () => Promise<NginxProxy>,
): Promise<Result> {
  await using proxy = await start();
  return await coldAndWarm(client, material, proxy.url);
}

async function relayed(
  client: NixClient,
  material: ClosureMaterial,
  program: string,
  link: SlowLink,
): Promise<RelayResult> {
  await using relay = await Relay.start({ program, substituter: link.url, publicKey: material.publicKey });
  const passes = await coldAndWarm(client, material, relay.url);
  return { ...passes, cpu: await cpuSeconds(relay.pid), peak: (await relay.memory()).peak };
}

async function all<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await run(item));
  return results;
}
