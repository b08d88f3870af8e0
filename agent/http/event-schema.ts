import * as v from 'valibot';
import { countsSchema } from '../telemetry/counts-schema.ts';
import {
  cacheSchema,
  latencySchema,
  networkSchema,
  peerSchema,
  recentSchema,
  rejectionSchema,
  requestSchema,
  sourceSchema,
  statsSchema,
  transferSchema,
} from './stats-schema.ts';

/**
 * What `GET /events` (server-sent events) sends: `event:` is the `type`, `data:` the whole object in one line of JSON. First a
 * `snapshot`, then what changes. A reader passes over types that it does not know.
 */
export const eventSchema = v.variant('type', [
  v.object({
    type: v.literal('snapshot'),
    /** As `GET /stats` answers it. */
    stats: statsSchema,
    recent: recentSchema,
  }),
  /** A request of this machine's Nix is finished. At most 100 a second; the counters have all. */
  v.object({ type: v.literal('request'), request: requestSchema }),
  /** A source's answer failed verification. */
  v.object({ type: v.literal('rejection'), rejection: rejectionSchema }),
  /** A transfer began or went on (at most two a second for each), … */
  v.object({ type: v.literal('transfer'), transfer: transferSchema }),
  v.object({
    /** … and is over. */
    type: v.literal('transfer-end'),
    /** In full. */
    storePath: v.string(),
    /** `verified`: whole and right; `failed`: no source could give it; `left`: nobody wanted it any more. */
    result: v.picklist(['verified', 'failed', 'left']),
  }),
  /** A source is new, or something about it is. */
  v.object({ type: v.literal('source'), source: sourceSchema }),
  /** A source is no longer used. */
  v.object({ type: v.literal('source-gone'), id: v.string() }),
  /** A peer is new, or its state is. */
  v.object({ type: v.literal('peer'), peer: peerSchema }),
  /** A peer is no longer known; `url` is what it is known by. */
  v.object({ type: v.literal('peer-gone'), url: v.string() }),
  /** At most each second, while something changes in the cache directory. */
  v.object({ type: v.literal('cache'), cache: cacheSchema }),
  /** Each second while something is counted. */
  v.object({
    type: v.literal('counters'),
    sinceStart: countsSchema,
    totals: countsSchema,
    latency: latencySchema,
  }),
  /** Another network, or another state of it. */
  v.object({ type: v.literal('network'), network: networkSchema }),
]);

export type StatsEvent = v.InferOutput<typeof eventSchema>;
