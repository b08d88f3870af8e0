import { type Fixture, smallClosure } from '../../fixtures/closure.ts';
import { buildWanted, type WantedBuild } from './build-wanted.ts';
import type { FaultName } from './faults.ts';
import { FaultyUpstream } from './faulty-upstream.ts';
import type { NixOptions } from './private-store.ts';
import { type RelayConfig, RelayProcess } from './relay-process.ts';

/** What real Nix did with the same misbehaving upstream, without and with the relay between. */
export interface Row {
  /** What the upstream does; the names of two where there are two. */
  readonly name: string;
  readonly straight: Measurement;
  readonly relayed: Measurement;
}

export interface Measurement extends WantedBuild {
  /** Requests that reached the last upstream for what its fault is about. */
  readonly requests: number;
}

/** Every row: one upstream or two. */
const rows: readonly (readonly FaultName[])[] = [
  ['ok'],
  ['ni-404'],
  ['ni-403'],
  ['ni-401'],
  ['ni-410'],
  ['ni-400'],
  ['ni-500'],
  ['ni-502'],
  ['ni-503'],
  ['ni-503-ra1'],
  ['ni-504'],
  ['ni-429'],
  ['ni-429-ra3'],
  ['ni-204'],
  ['ni-501'],
  ['ni-511'],
  ['ni-503-once'],
  ['ni-503-x4'],
  ['ni-reset'],
  ['ni-close'],
  ['ni-trunc'],
  ['ni-hang'],
  ['ni-slow3s'],
  ['ni-html200'],
  ['ni-empty200'],
  ['ni-no-final-newline'],
  ['ni-crlf'],
  ['ni-unknown-field'],
  ['ni-blank-line'],
  ['ni-nosig'],
  ['ni-badsig'],
  ['ni-unknownkey'],
  ['ni-garbagesig'],
  ['ni-shortsig'],
  ['ni-badb64sig'],
  ['ni-extra-garbagesig'],
  ['ni-extra-otherkey'],
  ['ni-wrongpath'],
  ['ni-wrongname'],
  ['ni-refs-nospace-empty'],
  ['ni-narhash-sri'],
  ['ni-narhash-hex'],
  ['ni-nofilehash'],
  ['ni-wrongfilehash'],
  ['ni-wrongfilesize'],
  ['ni-wrongnarsize'],
  ['ni-wrongcompression'],
  ['ni-unknowncompression'],
  ['ni-wrongderiver'],
  ['ni-system'],
  ['ni-redirect'],
  ['nar-404'],
  ['nar-403'],
  ['nar-401'],
  ['nar-410'],
  ['nar-500'],
  ['nar-503-once'],
  ['nar-503'],
  ['nar-reset'],
  ['nar-trunc-ranges-once'],
  ['nar-trunc-noranges-once'],
  ['nar-trunc-noadvert-once'],
  ['nar-trunc-ranges-then-ignored'],
  ['nar-trunc-ranges-then-404'],
  ['nar-trunc-ranges-then-503'],
  ['nar-trunc-always'],
  ['nar-trunc-always-noranges'],
  ['nar-trunc-chunked-once'],
  ['nar-trunc-nolength-once'],
  ['nar-rst-mid-once'],
  ['nar-hang-mid-once'],
  ['nar-hang-mid-once-noranges'],
  ['nar-flip'],
  ['nar-flip-once'],
  ['nar-html200'],
  ['nar-empty200'],
  ['nar-ce-gzip'],
  ['nar-ce-xz'],
  ['nar-ce-zstd'],
  ['nar-ce-bzip2'],
  ['nar-ce-gzip-trunc-once'],
  ['ni-ce-gzip'],
  ['ni-ce-xz'],
  ['nar-redirect'],
  ['nar-redirect-true'],
  ['ci-404'],
  ['ci-404-put-ok'],
  ['ci-403'],
  ['ci-500'],
  ['ci-503-once'],
  ['ci-empty'],
  ['ci-html'],
  ['ci-wrongstore'],
  ['ci-nostoredir'],
  ['ci-badprio'],
  ['ci-hang'],
  ['all-refused'],
  ['all-503'],
  ['all-404'],
  ['all-hang'],
  ['ni-all-503'],
  ['ni-all-500'],
  ['ni-all-reset'],
  ['ni-all-404'],
  ['refused-after-cacheinfo'],
  ['ok', 'all-refused'],
  ['ni-404', 'refused-after-cacheinfo'],
  ['ni-404', 'ni-all-503'],
];

/** More would measure the machine's load. */
const atATime = 6;

/** Measures every row with a fresh upstream, store and relay for each cell; some minutes. */
export async function measureTable(): Promise<Row[]> {
  const fixture = await smallClosure();
  const measured: Row[] = [];
  const left = rows.entries();
  const work = async () => {
    for (const [index, row] of left) measured[index] = await measureRow(fixture, row);
  };
  await Promise.all(Array.from({ length: atATime }, work));
  return measured;
}

/** The table as the document in docs/ shows it. */
export function printTable(measured: readonly Row[]): string {
  const lines = measured.map(
    ({ name, straight, relayed }) => `| ${name} | ${printCell(straight)} | ${printCell(relayed)} |`,
  );
  return ['| upstream | straight | through narrowcast |', '|---|---|---|', ...lines, ''].join('\n');
}

/** The outcomes in a document that holds a printed table: by row, straight and relayed. */
export function readOutcomes(document: string): Map<string, { straight: string; relayed: string }> {
  const outcomes = new Map<string, { straight: string; relayed: string }>();
  for (const [, name = '', straight = '', relayed = ''] of document.matchAll(
    /^\| (\S+(?:, \S+)?) \| \**(\w+)\**[^|]* \| \**(\w+)\**[^|]* \|$/gm,
  )) {
    if (name !== 'upstream') outcomes.set(name, { straight, relayed });
  }
  return outcomes;
}

async function measureRow(fixture: Fixture, names: readonly FaultName[]): Promise<Row> {
  const hangs = names.some((name) => name.includes('hang'));
  return {
    name: names.join(', '),
    straight: await measureStraight(fixture, names, hangs),
    relayed: await measureRelayed(fixture, names, hangs),
  };
}

async function measureStraight(
  fixture: Fixture,
  names: readonly FaultName[],
  hangs: boolean,
): Promise<Measurement> {
  await using upstreams = await startAll(fixture, names);
  // Nix's own patience is 5 × 300 s.
  const options: NixOptions = hangs ? { 'stalled-download-timeout': '4', 'download-attempts': '2' } : {};
  const build = await buildWanted(fixture, upstreams.urls, { options });
  return { ...build, requests: upstreams.requests() };
}

async function measureRelayed(
  fixture: Fixture,
  names: readonly FaultName[],
  hangs: boolean,
): Promise<Measurement> {
  await using upstreams = await startAll(fixture, names);
  const patience: RelayConfig = hangs ? { 'lookup-timeout': '2s', 'stalled-download-timeout': '4s' } : {};
  await using relay = await RelayProcess.start({
    substituters: upstreams.urls,
    'trusted-public-keys': [fixture.publicKey],
    ...patience,
  });
  const build = await buildWanted(fixture, [relay.url]);
  return { ...build, requests: upstreams.requests() };
}

interface Upstreams extends AsyncDisposable {
  readonly urls: string[];
  requests(): number;
}

async function startAll(fixture: Fixture, names: readonly FaultName[]): Promise<Upstreams> {
  await using started = new AsyncDisposableStack();
  const upstreams: FaultyUpstream[] = [];
  for (const name of names) upstreams.push(started.use(await FaultyUpstream.start(fixture, name)));
  const all = started.move();
  return {
    urls: upstreams.map(({ url }) => url),
    requests: () => requestsFor(names.at(-1) ?? 'ok', upstreams.at(-1)),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function requestsFor(name: FaultName, upstream: FaultyUpstream | undefined): number {
  if (upstream === undefined) return 0;
  if (name.startsWith('nar-')) return upstream.targetCounts().nar;
  if (name.startsWith('ni-all-')) return upstream.counts().narinfo;
  if (name.startsWith('ni-')) return upstream.targetCounts().narinfo;
  return upstream.requests.length;
}

function printCell({ outcome, requests, ms }: Measurement): string {
  const word = outcome === 'fails' || outcome === 'hangs' ? `**${outcome}**` : outcome;
  const slow = ms < 3_000 ? '' : `, ${Math.round(ms / 1_000)} s`;
  return `${word} (${requests} req${slow})`;
}
