import type { NarCache } from '../cache/nar-cache.ts';
import { isDecodable } from '../nix/compression.ts';
import { formatHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { type HashPart, printStorePath } from '../nix/store-path.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import { askAll, type SourceAnswer } from './ask-all.ts';
import type { ExplainedFile, ExplainedSource, Explanation } from './explanation.ts';
import { KnownPath } from './known-path.ts';
import type { Lookup } from './lookup.ts';
import type { Standings } from './standings.ts';
import { rankOf, type Supply, suppliesOf } from './supply.ts';
import type { JudgedSignature, Trust } from './trust.ts';

export interface ExplainOptions {
  readonly storeDir: string;
  readonly pool: Pick<SourcePool, 'all'>;
  readonly trust: Pick<Trust, 'judge' | 'signatures'>;
  readonly lookup: Pick<Lookup, 'peek'>;
  readonly standings: Standings;
  readonly cache?: NarCache | undefined;
  readonly clock?: Clock;
}

/**
 * Asks every source about a path, though a lookup stops at the first valid answer, and says what would become of each answer.
 * Rejects with the signal's reason when it is aborted.
 */
export async function explain(
  options: ExplainOptions,
  hashPart: HashPart,
  signal: AbortSignal,
): Promise<Explanation> {
  const { pool, cache, storeDir } = options;
  const [answers, kept] = await Promise.all([askAll(pool.all, hashPart, signal), cache?.narinfo(hashPart)]);
  const stored = kept !== undefined && isDecodable(kept.compression) ? kept : undefined;
  const known = knownPath(options, answers, stored);
  const supplies = known === undefined ? [] : await inRank(known, options);
  const chosen = supplies.find(({ usable }) => usable);
  return {
    schema: 1,
    hashPart,
    path: known === undefined ? null : pathOf(known, storeDir),
    stored: stored === undefined || known?.stored === undefined ? null : fileOf(stored, options.trust),
    from: chosen?.id ?? null,
    sources: answers.map((answer) => explained(answer, known, chosen, options)),
  };
}

/** What a lookup would make of these answers: the first that counts says which NAR it is, and who else has that. */
function knownPath(
  { trust, lookup, clock = systemClock }: ExplainOptions,
  answers: readonly SourceAnswer[],
  stored: Narinfo | undefined,
): KnownPath | undefined {
  const now = clock.now();
  const valid = answers.flatMap((answer) => {
    if (answer.kind !== 'narinfo' || found(answer.source, lookup, answer.narinfo, now)) return [];
    return trust.judge(answer.narinfo, answer.source.source.configured) ?? [];
  });
  const onDisk = stored && trust.judge(stored, true);
  const trusted = onDisk ?? valid[0];
  if (trusted === undefined) return undefined;
  const known = new KnownPath(trusted, now, onDisk && stored);
  for (const answer of answers)
    if (answer.kind === 'narinfo' && !found(answer.source, lookup, answer.narinfo, now))
      known.offer(answer, now);
  return known;
}

/** Whether a source was found out a moment ago not to have this path as it says. */
function found(
  source: MonitoredSource,
  lookup: Pick<Lookup, 'peek'>,
  { storePath }: Narinfo,
  now: number,
): boolean {
  return lookup.peek(storePath.hashPart)?.hasWithdrawn(source, now) === true;
}

/** As a transfer that begins now would take them. */
async function inRank(known: KnownPath, options: ExplainOptions): Promise<Supply[]> {
  const { cache, standings, clock = systemClock } = options;
  const supplies = await suppliesOf(known, { cache, standings, clock });
  const opaque = (supply: Supply) => (isDecodable(supply.file.compression) ? 0 : 100);
  return supplies.sort((a, b) => opaque(a) + rankOf(a) - opaque(b) - rankOf(b));
}

function explained(
  answer: SourceAnswer,
  known: KnownPath | undefined,
  chosen: Supply | undefined,
  options: ExplainOptions,
): ExplainedSource {
  const { source } = answer;
  const file = answer.kind === 'narinfo' ? fileOf(answer.narinfo, options.trust) : null;
  const { value } = source.latency;
  const about = {
    id: source.id,
    reach: source.source.reach,
    health: source.health,
    latencyMs: value === undefined ? null : Math.round(value * 10) / 10,
    file,
  };
  return { ...about, ...verdictOn(answer, file, known, chosen, options) };
}

function verdictOn(
  answer: SourceAnswer,
  file: ExplainedFile | null,
  known: KnownPath | undefined,
  chosen: Supply | undefined,
  { lookup, standings, clock = systemClock }: ExplainOptions,
): Pick<ExplainedSource, 'verdict' | 'why'> {
  if (answer.kind === 'absent') return { verdict: 'absent', why: 'It does not have the path.' };
  if (answer.kind !== 'narinfo') return { verdict: 'unknown', why: answer.why };
  const { source, narinfo } = answer;
  if (found(source, lookup, narinfo, clock.now()))
    return { verdict: 'refused', why: 'It gave a wrong NAR, or none, within the last minute.' };
  if (known === undefined || !known.isSame(narinfo))
    return { verdict: 'refused', why: whyRefused(file?.signatures ?? [], known) };
  if (chosen?.id === source.id) return { verdict: 'chosen', why: whyChosen(source, chosen) };
  return { verdict: 'spare', why: whySpare(source, narinfo, chosen, standings) };
}

function whyRefused(signatures: readonly JudgedSignature[], known: KnownPath | undefined): string {
  if (signatures.some(({ worth }) => worth === 'trusted'))
    return `It has another NAR under this name, rightly signed; ${known?.trustedBy ?? 'another'} vouches for the one that counts.`;
  const other = known === undefined ? '' : ', and has another NAR than the one that counts';
  const wrong = signatures.find(({ worth }) => worth === 'wrong');
  if (wrong !== undefined) return `The signature by ${wrong.key} is wrong${other}.`;
  if (signatures.length === 0) return `It is not signed${other}.`;
  const keys = [...new Set(signatures.map(({ key }) => key))].join(', ');
  return `It is signed by ${keys}, which is not among trusted-public-keys${other}.`;
}

function whyChosen({ source }: MonitoredSource, { trusted, near }: Supply): string {
  const first = near ? 'It is nearby' : 'No cache nearby has it, and of the upstreams it comes first';
  const proof =
    trusted || source.configured ? '' : '; it is not proven yet, so all is verified before Nix gets a byte';
  return `${first}${proof}.`;
}

function whySpare(
  source: MonitoredSource,
  { compression }: Narinfo,
  chosen: Supply | undefined,
  standings: Standings,
): string {
  if (!isDecodable(compression)) return `Only Nix can decode ${compression}; it comes last.`;
  if (standings.shuns(source)) return 'It gave something wrong, or crawled: others come first.';
  if (chosen?.stored === true) return 'The cache directory has it already.';
  if (chosen?.near === true && source.source.reach === 'upstream') return `${chosen.id} is nearer.`;
  if (!standings.trusts(source)) return `It is not proven yet; ${chosen?.id ?? 'another'} is.`;
  return `${chosen?.id ?? 'Another'} comes first, by priority or because it is quicker.`;
}

function pathOf(known: KnownPath, storeDir: string): Explanation['path'] {
  const { storePath, narHash, narSize, references } = known.narinfo;
  return {
    storePath: printStorePath(storePath, storeDir),
    trustedBy: known.trustedBy,
    narHash: formatHash(narHash, 'base32'),
    narSize,
    references: references.length,
  };
}

function fileOf(narinfo: Narinfo, trust: Pick<Trust, 'signatures'>): ExplainedFile {
  const { compression, fileSize, narSize, narHash } = narinfo;
  return {
    compression,
    fileSize: fileSize ?? null,
    narSize,
    narHash: formatHash(narHash, 'base32'),
    signatures: trust.signatures(narinfo),
  };
}
