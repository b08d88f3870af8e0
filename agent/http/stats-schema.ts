import * as v from 'valibot';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
/** Null where it is not known. */
const measured = v.nullable(v.pipe(v.number(), v.minValue(0)));
const reason = v.nullable(v.string());
const time = v.pipe(v.string(), v.isoTimestamp());

const network = v.object({
  /** Whether some interface but loopback is up and has an address. */
  online: v.boolean(),
  addresses: v.array(
    v.object({
      interface: v.string(),
      address: v.string(),
      /** Why multicast DNS does not work there; null where it does or is not spoken. */
      mdnsTrouble: reason,
    }),
  ),
});

const source = v.object({
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

const peer = v.object({
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
const cache = v.object({
  paths: count,
  nars: count,
  bytes: count,
  partial: v.object({ files: count, bytes: count }),
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

/** What `GET /stats` answers. A reader of one `schema` can read every later answer with the same number: keys are only added. */
export const statsSchema = v.object({
  schema: v.literal(1),
  /** Of narrowcast. */
  version: v.string(),
  startedAt: time,
  uptimeMs: v.number(),
  network,
  sources: v.array(source),
  peers: v.array(peer),
  cache,
});

/** What `GET /stats` answers. */
export type Stats = v.InferOutput<typeof statsSchema>;
