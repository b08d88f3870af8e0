import type { Counts, NarinfoOfSource, NarOfSource, Origin } from './counts-schema.ts';

/** Sources counted each by itself; the others together as `other`. */
export const maxSources = 64;

/** Nothing counted yet. */
export function emptyCounts(): Counts {
  return {
    narinfo: { requests: 0, hits: 0, misses: 0, absent: 0, rejected: 0, bySource: {} },
    nar: {
      requests: 0,
      hits: 0,
      misses: 0,
      absent: 0,
      failed: 0,
      resumed: 0,
      switched: 0,
      rejected: 0,
      bySource: {},
    },
    bytes: { served: 0, fromDisk: 0, fromLan: 0, fromUpstream: 0, wasted: 0, savedUpstream: 0 },
    shared: { requests: 0, hits: 0, misses: 0, absent: 0, bytes: 0 },
    uploads: { paths: 0, bytes: 0, unauthorized: 0, untrusted: 0, invalid: 0, noRoom: 0, cut: 0 },
  };
}

export function emptyNarinfoOfSource(origin: Origin): NarinfoOfSource {
  return { origin, answered: 0, asked: 0, found: 0, absent: 0, rejected: 0, failed: 0, bytes: 0 };
}

export function emptyNarOfSource(origin: Origin): NarOfSource {
  return { origin, transfers: 0, rejected: 0, failed: 0, bytes: 0 };
}

/** Both together; with `sign` -1 what `a` has more than `b`, which began no later. Neither is changed. */
export function plus(a: Counts, b: Counts, sign: 1 | -1 = 1): Counts {
  const sum = (x: number, y: number) => x + sign * y;
  return {
    narinfo: {
      requests: sum(a.narinfo.requests, b.narinfo.requests),
      hits: sum(a.narinfo.hits, b.narinfo.hits),
      misses: sum(a.narinfo.misses, b.narinfo.misses),
      absent: sum(a.narinfo.absent, b.narinfo.absent),
      rejected: sum(a.narinfo.rejected, b.narinfo.rejected),
      bySource: bySource(a.narinfo.bySource, b.narinfo.bySource, emptyNarinfoOfSource, (x, y) => ({
        origin: x.origin,
        answered: sum(x.answered, y.answered),
        asked: sum(x.asked, y.asked),
        found: sum(x.found, y.found),
        absent: sum(x.absent, y.absent),
        rejected: sum(x.rejected, y.rejected),
        failed: sum(x.failed, y.failed),
        bytes: sum(x.bytes, y.bytes),
      })),
    },
    nar: {
      requests: sum(a.nar.requests, b.nar.requests),
      hits: sum(a.nar.hits, b.nar.hits),
      misses: sum(a.nar.misses, b.nar.misses),
      absent: sum(a.nar.absent, b.nar.absent),
      failed: sum(a.nar.failed, b.nar.failed),
      resumed: sum(a.nar.resumed, b.nar.resumed),
      switched: sum(a.nar.switched, b.nar.switched),
      rejected: sum(a.nar.rejected, b.nar.rejected),
      bySource: bySource(a.nar.bySource, b.nar.bySource, emptyNarOfSource, (x, y) => ({
        origin: x.origin,
        transfers: sum(x.transfers, y.transfers),
        rejected: sum(x.rejected, y.rejected),
        failed: sum(x.failed, y.failed),
        bytes: sum(x.bytes, y.bytes),
      })),
    },
    bytes: {
      served: sum(a.bytes.served, b.bytes.served),
      fromDisk: sum(a.bytes.fromDisk, b.bytes.fromDisk),
      fromLan: sum(a.bytes.fromLan, b.bytes.fromLan),
      fromUpstream: sum(a.bytes.fromUpstream, b.bytes.fromUpstream),
      wasted: sum(a.bytes.wasted, b.bytes.wasted),
      savedUpstream: sum(a.bytes.savedUpstream, b.bytes.savedUpstream),
    },
    shared: {
      requests: sum(a.shared.requests, b.shared.requests),
      hits: sum(a.shared.hits, b.shared.hits),
      misses: sum(a.shared.misses, b.shared.misses),
      absent: sum(a.shared.absent, b.shared.absent),
      bytes: sum(a.shared.bytes, b.shared.bytes),
    },
    uploads: {
      paths: sum(a.uploads.paths, b.uploads.paths),
      bytes: sum(a.uploads.bytes, b.uploads.bytes),
      unauthorized: sum(a.uploads.unauthorized, b.uploads.unauthorized),
      untrusted: sum(a.uploads.untrusted, b.uploads.untrusted),
      invalid: sum(a.uploads.invalid, b.uploads.invalid),
      noRoom: sum(a.uploads.noRoom, b.uploads.noRoom),
      cut: sum(a.uploads.cut, b.uploads.cut),
    },
  };
}

/** Source by source. The first of `a` keep their own entries. */
function bySource<T extends { readonly origin: Origin }>(
  a: Readonly<Record<string, T>>,
  b: Readonly<Record<string, T>>,
  empty: (origin: Origin) => T,
  sum: (x: T, y: T) => T,
): Record<string, T> {
  const all: Record<string, T> = { ...a };
  for (const [id, entry] of Object.entries(b)) {
    const place = placeIn(all, id);
    all[place] = sum(all[place] ?? empty(entry.origin), entry);
  }
  return all;
}

/** Under which name a source is counted. */
export function placeIn(entries: Readonly<Record<string, unknown>>, id: string): string {
  return Object.hasOwn(entries, id) || Object.keys(entries).length < maxSources ? id : 'other';
}
