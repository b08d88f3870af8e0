import * as v from 'valibot';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Where an answer came from: this agent's memory, a disk of this machine, a cache on the LAN, or an upstream. */
export const originSchema = v.picklist(['memory', 'disk', 'lan', 'upstream']);

const narinfoOfSource = v.object({
  origin: originSchema,
  /** Client requests whose answer came from here; over all sources their sum is `hits` + `misses`. */
  answered: count,
  /** Questions that were put to it, look-ahead and retries included. Zero for `memory` and `disk`. */
  asked: count,
  /** Its valid answers, those that came too late for anyone included. */
  found: count,
  /** How often it said that it has no such path. */
  absent: count,
  /** Its answers that failed verification. */
  rejected: count,
  /** Questions without an answer that can be used: silence, errors, what is no narinfo. */
  failed: count,
  /** Body bytes of its narinfos as they came over the wire; 0 for `memory` and `disk`. */
  bytes: count,
});

/** Requests of this machine's Nix for narinfos: `requests` = `hits` + `misses` + `absent`. */
const narinfo = v.object({
  requests: count,
  /** Answered 200 without an upstream: from memory (what was looked up ahead included), disk or LAN. */
  hits: count,
  /** Answered 200 with what an upstream said to this question. */
  misses: count,
  /** Answered 404. */
  absent: count,
  /** Answers of sources, not of this agent, that failed verification; look-ahead included. */
  rejected: count,
  /** By source: `memory`, `disk` for the cache directory, else the source's id; at most 64, and `other` for those beyond. */
  bySource: v.record(v.string(), narinfoOfSource),
});

const narOfSource = v.object({
  origin: originSchema,
  /** Transfers that took bytes from it. */
  transfers: count,
  /** NARs that it gave wrong. */
  rejected: count,
  /** Bodies that broke off, went silent or did not come. */
  failed: count,
  /** Body bytes of its NAR files as they came over the wire, or from the disk. */
  bytes: count,
});

/** Requests of this machine's Nix for NARs (GET, parts included): `requests` = `hits` + `misses` + `absent` + `failed` + those that the client left, once all are finished. */
const nar = v.object({
  requests: count,
  /** Given to the end, and none of the bytes came from an upstream in this transfer. */
  hits: count,
  /** Given to the end, and an upstream gave at least a part. */
  misses: count,
  /** Answered 404. */
  absent: count,
  /** Cut by this agent before the end, because no source was left or the bytes were wrong. */
  failed: count,
  /** How often a transfer went on with what was there of a file: one that an earlier transfer left, or the same source after a break. */
  resumed: count,
  /** How often a transfer went on at another source than before. */
  switched: count,
  /** NARs of sources, not of this agent, that failed verification. */
  rejected: count,
  /** By source, as for narinfos. */
  bySource: v.record(v.string(), narOfSource),
});

/** All in bytes. */
const bytes = v.object({
  /** Bodies of narinfos and NARs as sent to this machine's Nix; NARs are sent decoded. */
  served: count,
  /** NAR files, as stored, read from the cache directory or from a substituter that is a directory. */
  fromDisk: count,
  /** Response bodies as received from caches on the LAN (NARs, narinfos, nix-cache-info and other files), before any Content-Encoding is undone; without headers and the bodies of redirects and errors. */
  fromLan: count,
  /** The same, as received from upstreams. */
  fromUpstream: count,
  /** Of what was received: NAR bytes that were discarded (wrong, or given up for another file) or that came twice. */
  wasted: count,
  /** NAR files, as stored, or the parts of them, that came from disk or LAN into a transfer instead of crossing the upstream's link. */
  savedUpstream: count,
});

/** What other machines asked of the LAN face, with `lan.pull-through` or not; not part of the counters above. */
const shared = v.object({
  /** Requests for narinfos and NARs. */
  requests: count,
  /** Answered without an upstream. */
  hits: count,
  /** Answered with the help of an upstream (`lan.pull-through`). */
  misses: count,
  /** Answered 404. */
  absent: count,
  /** Bodies as sent, in bytes. */
  bytes: count,
});

/** What uploaders sent to the LAN face, and why what they sent was not taken. */
const uploads = v.object({
  /** Store paths that were taken: new, or with signatures that were not known. */
  paths: count,
  /** Bodies of NARs, listings, logs and the like as they came, in bytes. */
  bytes: count,
  /** Requests refused because nobody whom the tokens file names sent them. */
  unauthorized: count,
  /** Narinfos refused because no key has signed them that is trusted here, and for this uploader. */
  untrusted: count,
  /** Refused for what it is: malformed, not what its name or narinfo says, or ahead of what it needs. */
  invalid: count,
  /** Refused because the disk or its limits take no more, or nothing so large. */
  noRoom: count,
  /** Broken off by the uploader, or silent for too long. */
  cut: count,
});

/** What was counted before there were uploads has none. */
const laterUploads = v.optional(uploads, () => ({
  paths: 0,
  bytes: 0,
  unauthorized: 0,
  untrusted: 0,
  invalid: 0,
  noRoom: 0,
  cut: 0,
}));

/** Everything that is counted; the same once since the start and once in total. */
export const countsSchema = v.object({ narinfo, nar, bytes, shared, uploads: laterUploads });

/** One day of the machine's time zone, without the tables by source. */
export const daySchema = v.object({
  /** As in `2026-11-21`. */
  day: v.pipe(v.string(), v.isoDate()),
  narinfo: v.omit(narinfo, ['bySource']),
  nar: v.omit(nar, ['bySource']),
  bytes,
  shared,
  uploads: laterUploads,
});

export type Origin = v.InferOutput<typeof originSchema>;
export type Counts = v.InferOutput<typeof countsSchema>;
export type Day = v.InferOutput<typeof daySchema>;
export type NarinfoOfSource = v.InferOutput<typeof narinfoOfSource>;
export type NarOfSource = v.InferOutput<typeof narOfSource>;
