import type { Narinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { SourceError } from '../source/error.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import { inOrder } from '../source/source-pool.ts';

/** What a source says of a path: its narinfo, not verified, or why there is none. */
export type SourceAnswer = { readonly source: MonitoredSource } & (
  | { readonly kind: 'narinfo'; readonly narinfo: Narinfo }
  | { readonly kind: 'absent' }
  /** `why` in a sentence. */
  | { readonly kind: 'failed' | 'not asked'; readonly why: string }
);

const patience = 10_000;

/**
 * Asks every source that can be asked, each once and for at most ten seconds, in the order in which a lookup would. What comes
 * changes nothing that is known of the sources.
 */
export async function askAll(
  sources: readonly MonitoredSource[],
  hashPart: HashPart,
  signal: AbortSignal,
): Promise<SourceAnswer[]> {
  return await Promise.all([...sources].sort(inOrder).map((source) => ask(source, hashPart, signal)));
}

async function ask(source: MonitoredSource, hashPart: HashPart, signal: AbortSignal): Promise<SourceAnswer> {
  if (!source.usable) return { source, kind: 'not asked', why: whyUnusable(source) };
  const late = AbortSignal.timeout(patience);
  try {
    const narinfo = await source.source.narinfo(hashPart, AbortSignal.any([signal, late]));
    return narinfo === undefined ? { source, kind: 'absent' } : { source, kind: 'narinfo', narinfo };
  } catch (error) {
    if (late.aborted && !signal.aborted)
      return { source, kind: 'failed', why: `It did not answer within ${patience / 1_000} s.` };
    if (!(error instanceof SourceError)) throw error;
    return { source, kind: 'failed', why: `${error.message}.` };
  }
}

function whyUnusable({ health, healthFor, reason }: MonitoredSource): string {
  if (health !== 'down' && health !== 'captive') return 'This machine is offline.';
  const seconds = Math.round(healthFor / 1_000);
  const span = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} minutes`;
  return `It has been ${health} for ${span}: ${reason ?? 'it did not answer'}.`;
}
