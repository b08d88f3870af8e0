import * as v from 'valibot';
import { countsSchema, daySchema, originSchema } from '../telemetry/counts-schema.ts';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
/** Null where it is not known. */
const measured = v.nullable(v.pipe(v.number(), v.minValue(0)));
const reason = v.nullable(v.string());
const time = v.pipe(v.string(), v.isoTimestamp());

export const networkSchema = v.object({
  /** Whether some interface but loopback is up and has an address. */
  online: v.boolean(),
  /** `offline`: no network; `captive`: it wants a login; `home`: a cache on the LAN is up; `away`: none is. */
  state: v.picklist(['home', 'away', 'offline', 'captive']),
  addresses: v.array(
    v.object({
      interface: v.string(),
      address: v.string(),
      /** Why multicast DNS does not work there; null where it does or is not spoken. */
      mdnsTrouble: reason,
    }),
  ),
});

export const sourceSchema = v.object({
  /** Its URL, without credentials. */
  id: v.string(),
  reach: v.picklist(['disk', 'lan', 'upstream']),
  health: v.picklist(['unknown', 'up', 'down', 'captive']),
  /** Why it is down or captive. */
  reason,
  /** Moving average of the time to an answer. */
  latencyMs: measured,
  /** Moving average within a NAR's body. */
  bytesPerSecond: measured,
  /** Lower is asked first. */
  priority: v.number(),
});

export const peerSchema = v.object({
  name: v.string(),
  /** Base URL. */
  url: v.string(),
  /** The type of service that it announced, or `static` for one of lan.peers. */
  origin: v.string(),
  state: v.picklist(['checking', 'up', 'down']),
  /** Why it is not up. */
  reason,
  latencyMs: measured,
  /** When it was last announced or verified. */
  lastSeen: v.nullable(time),
  /** Its TXT record. */
  announced: v.record(v.string(), v.string()),
});

/** The cache directory; bytes are disk space, evictions and failures since the start. */
export const cacheSchema = v.object({
  /** Store paths. */
  paths: count,
  nars: count,
  bytes: count,
  /** `cache.max-size`; 0 is no limit. */
  maxBytes: count,
  /** NARs removed to make room or for their age. */
  evictions: count,
  /** NARs found wrong on disk and set aside. */
  quarantined: count,
  /** Files of interrupted transfers. */
  partial: v.object({ files: count, bytes: count }),
  /** What was uploaded and waits for its narinfo, or for the rest of it. */
  uploads: v.optional(v.object({ files: count, bytes: count })),
  quarantine: v.object({ nars: count, bytes: count }),
  evicted: v.object({ nars: count, narinfos: count, bytes: count }),
  refusedWrites: count,
  failedReads: count,
  disk: v.object({
    condition: v.picklist(['ok', 'full', 'read-only', 'locked', 'failing']),
    message: v.optional(v.string()),
    free: v.optional(v.number()),
  }),
  /** Of the directory, in ms, and what it met that has no place there; absent before the first. */
  scan: v.optional(v.object({ dangling: count, unreadable: count, took: v.number() })),
});

/** In ms, within 10 %; null before the first. */
const quantiles = v.object({ count, p50: measured, p90: measured, p99: measured });

export const latencySchema = v.object({
  /** From a narinfo request of this machine's Nix to its answer. */
  lookup: quantiles,
  /** By source id: from a question (narinfo, or the opening of a NAR) to the answer or its first byte. */
  bySource: v.record(v.string(), quantiles),
});

export const transferSchema = v.object({
  /** In full. */
  storePath: v.string(),
  /** Bytes of the file (as the source has it, so mostly compressed) that are here. Begins anew when another file has to be read. */
  received: count,
  /** Bytes of the whole file; null where no source tells. */
  total: v.nullable(count),
  /** Bytes of the file a second, lately. */
  rate: v.pipe(v.number(), v.minValue(0)),
  /** Id of the source that gives now, `disk` for the cache directory; null between two. */
  source: v.nullable(v.string()),
  /** NarSize: bytes of the decoded NAR. */
  narSize: count,
  /** Clients that read it now; a transfer may go on without any. */
  clients: count,
  startedAt: time,
});

/** A request of this machine's Nix that is finished. */
export const requestSchema = v.object({
  /** When it ended. */
  time,
  method: v.picklist(['GET', 'HEAD']),
  kind: v.picklist(['narinfo', 'nar', 'other']),
  /** The store path in full where it is known, else the hash part, or for `other` the URL's path. */
  path: v.string(),
  /** As in the counters; `left`: the client went away first; `other` and HEAD requests are `hit` or `absent`. */
  result: v.picklist(['hit', 'miss', 'absent', 'rejected', 'failed', 'left']),
  /** Where the answer came from: `memory`, `disk` or a source's id (of several the one that gave most); null for none. */
  source: v.nullable(v.string()),
  origin: v.nullable(originSchema),
  /** Of the body, as sent. */
  bytes: count,
  /** From the request to the end of its answer. */
  ms: v.pipe(v.number(), v.minValue(0)),
  /** Why it is not a hit or a miss, where there is more to say. */
  reason,
});

/** An answer of a source that failed verification. */
export const rejectionSchema = v.object({
  time,
  kind: v.picklist(['narinfo', 'nar']),
  /** The store path in full, or the hash part of what is no narinfo. */
  path: v.string(),
  /** Id of the source. */
  source: v.string(),
  reason: v.string(),
});

/** The last of both, newest last: at most 500 and 100. */
export const recentSchema = v.object({
  requests: v.array(requestSchema),
  rejections: v.array(rejectionSchema),
});

/** What `GET /stats` answers. A reader of one `schema` can read every later answer with the same number: keys are only added. */
export const statsSchema = v.object({
  schema: v.literal(2),
  /** Of narrowcast. */
  version: v.string(),
  startedAt: time,
  uptimeMs: v.number(),
  network: networkSchema,
  sources: v.array(sourceSchema),
  peers: v.array(peerSchema),
  cache: cacheSchema,
  sinceStart: countsSchema,
  /** Over all starts of the agent with this cache directory. */
  totals: countsSchema,
  /** When counting `totals` began. */
  totalsSince: time,
  /** Since the start. */
  latency: latencySchema,
  /** Those that run now, oldest first. */
  transfers: v.array(transferSchema),
  /** The days on which something was counted, today included, oldest first: at most 90. */
  history: v.array(daySchema),
  /** Only in answers to `?since=`. */
  recent: v.optional(recentSchema),
});

export type Stats = v.InferOutput<typeof statsSchema>;
export type SourceStats = v.InferOutput<typeof sourceSchema>;
export type PeerStats = v.InferOutput<typeof peerSchema>;
export type NetworkStats = v.InferOutput<typeof networkSchema>;
export type CacheStats = v.InferOutput<typeof cacheSchema>;
export type LatencyStats = v.InferOutput<typeof latencySchema>;
export type TransferStats = v.InferOutput<typeof transferSchema>;
export type FinishedRequest = v.InferOutput<typeof requestSchema>;
export type Rejection = v.InferOutput<typeof rejectionSchema>;
export type Recent = v.InferOutput<typeof recentSchema>;
