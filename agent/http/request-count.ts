import type { IncomingMessage } from 'node:http';
import type { Finished, Giver } from '../telemetry/counters.ts';

/** Ends the counting of one request. */
export type Count = (
  result: Finished['result'],
  more: { path: string; giver?: Giver | undefined; bytes?: number; reason?: string | undefined },
) => void;

/** Begins to count a request; the result tells `finished` of it. */
export function counting(
  { method }: IncomingMessage,
  kind: Finished['kind'],
  finished: ((request: Finished) => void) | undefined,
): Count {
  const started = performance.now();
  return (result, { path, giver, bytes = 0, reason }) =>
    finished?.({
      method: method === 'HEAD' ? 'HEAD' : 'GET',
      kind,
      path,
      result,
      giver,
      bytes,
      ms: performance.now() - started,
      reason,
    });
}

/** What a request is whose answer came from there. */
export function resultFrom(giver: Giver | undefined): 'hit' | 'miss' {
  return giver?.origin === 'upstream' ? 'miss' : 'hit';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
