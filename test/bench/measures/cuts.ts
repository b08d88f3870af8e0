import { type BigNar, bigNar } from '../../e2e/harness/big-nar.ts';
import { Link } from '../../e2e/harness/link.ts';
import { Nginx } from '../../e2e/harness/nginx.ts';
import { PrivateStore } from '../../e2e/harness/private-store.ts';
import { compiled } from '../compiled.ts';
import { Relay } from '../relay.ts';
import type { Row } from '../report.ts';
import { inTurn } from '../rounds.ts';
import type { Measure } from './measure.ts';

const bytesPerSecond = 4_000_000;
/** Whoever has not got it after so many commands does not get it. */
const maxCommands = 30;

interface Pass {
  readonly seconds: number;
  /** Percent of the file that crossed the link beyond the file itself. */
  readonly wasted: number;
  /** How often the user had to give the command. */
  readonly commands: number;
}

/** Runs its body with the URL that real Nix is to use in front of a link. */
type Contestant = (link: Link, nar: BigNar, copy: (url: string) => Promise<Pass>) => Promise<Pass>;

/** A large NAR over a link that is cut, by real Nix through the relay, straight, and through nginx as a caching proxy. */
export const cuts: Measure = {
  name: 'cuts',
  async take({ short, rounds }) {
    const nar = await bigNar(short ? 20 : 60);
    const program = await compiled();
    const relay: Contestant = async (link, { publicKey }, copy) => {
      await using relay = await Relay.start({ program, substituter: link.url, publicKey });
      return await copy(relay.url);
    };
    const rows: Row[] = [];
    for (const times of [0, 5, 20]) rows.push(...(await compare(times, nar, rounds, relay)));
    const { fileSize } = nar.caches.xz;
    return {
      name: 'cuts',
      method: `\`nix copy\` of one path into a fresh store, its NAR being ${(fileSize / 1e6).toFixed(0)} MB of xz at an nginx behind a link of ${bytesPerSecond / 1e6} MB/s, which cuts all connections (RST and FIN in turn) at evenly spread bytes. A command that fails is given again, up to ${maxCommands} times. Wasted: what crossed the link beyond the file, headers included.`,
      rows,
    };
  },
};

const straight: Contestant = (link, _, copy) => copy(link.url);

const proxied: Contestant = async (link, _, copy) => {
  await using proxy = await Nginx.start('/nonexistent', {
    http: 'proxy_cache_path kept keys_zone=kept:1m max_size=1g;',
    config: `location / {
      proxy_pass ${link.url};
      proxy_http_version 1.1;
      proxy_cache kept;
      proxy_cache_valid 200 1h;
      proxy_cache_lock on;
      proxy_force_ranges on;
    }`,
  });
  return await copy(proxy.url);
};

async function compare(times: number, nar: BigNar, rounds: number, relay: Contestant): Promise<Row[]> {
  const results = await inTurn(rounds, {
    relay: () => pass(times, nar, relay),
    nix: () => pass(times, nar, straight),
    nginx: () => pass(times, nar, proxied),
  });
  const row = (what: string, unit: string, figure: (pass: Pass) => number): Row => ({
    what: `${times} cuts, ${what}`,
    unit,
    relay: results.map(({ relay }) => figure(relay)),
    beside: [
      { name: 'Nix straight', samples: results.map(({ nix }) => figure(nix)) },
      { name: 'nginx proxy_cache', samples: results.map(({ nginx }) => figure(nginx)) },
    ],
  });
  return [
    row('until it is in the store', 's', ({ seconds }) => seconds),
    { ...row('wasted', '% of the file', ({ wasted }) => wasted), aim: { atMost: 1 } },
    row('commands given', '', ({ commands }) => commands),
  ];
}

async function pass(times: number, nar: BigNar, contestant: Contestant): Promise<Pass> {
  const { dir, fileSize } = nar.caches.xz;
  await using nginx = await Nginx.start(dir);
  await using link = await Link.start(nginx.url, { bytesPerSecond });
  return await contestant(link, nar, async (url) => {
    const before = link.bytes;
    link.cutAt(Array.from({ length: times }, (_, n) => before + Math.floor((fileSize * (n + 0.5)) / times)));
    await using store = await PrivateStore.create({ options: { 'trusted-public-keys': nar.publicKey } });
    const started = performance.now();
    let said = '';
    for (let commands = 1; commands <= maxCommands; commands += 1) {
      const { code, stderr } = await store.run(['nix', 'copy', '--from', url, nar.path], {
        timeoutMs: 300_000,
      });
      said = stderr;
      if (code !== 0) continue;
      const seconds = (performance.now() - started) / 1_000;
      return { seconds, wasted: 100 * ((link.bytes - before) / fileSize - 1), commands };
    }
    throw new Error(`nix copy from ${url} failed ${maxCommands} times:\n${said}`);
  });
}
