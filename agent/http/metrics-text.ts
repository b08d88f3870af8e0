import { Counter, Gauge, Registry } from 'prom-client';
import type { Histogram } from '../telemetry/histogram.ts';
import { Durations } from './metrics-durations.ts';
import { Labels } from './metrics-labels.ts';
import type { Stats } from './stats-schema.ts';

/** How long things took, in ms. */
export interface Times {
  /** From a narinfo request of this machine's Nix to its answer. */
  readonly lookups: Histogram;
  /** From a question to a source's answer, by the source's id. */
  readonly answers: ReadonlyMap<string, Histogram>;
}

type Row = readonly [labels: Readonly<Record<string, string>>, value: number];

/** Statistics in Prometheus's text format 0.0.4. Counters begin at the agent's start, as Prometheus wants it. */
export async function metricsText(stats: Stats, times: Times): Promise<string> {
  const registry = new Registry();
  const labels = new Labels(stats);

  /** Rows with the same labels are added up. */
  const counter = (name: string, help: string, rows: readonly Row[]) => {
    const labelNames = Object.keys(rows[0]?.[0] ?? {});
    const metric = new Counter({ name: `narrowcast_${name}`, help, labelNames, registers: [registry] });
    for (const [labelsOf, value] of rows) metric.inc(labelsOf, value);
  };
  const gauge = (name: string, help: string, rows: readonly Row[]) => {
    const labelNames = Object.keys(rows[0]?.[0] ?? {});
    const metric = new Gauge({ name: `narrowcast_${name}`, help, labelNames, registers: [registry] });
    for (const [labelsOf, value] of rows) metric.inc(labelsOf, value);
  };

  const { narinfo, nar, bytes, shared, uploads } = stats.sinceStart;
  const narinfos = Object.entries(narinfo.bySource);
  const nars = Object.entries(nar.bySource);
  const left = nar.requests - nar.hits - nar.misses - nar.absent - nar.failed;
  const answered = narinfos.map(([id, { origin, answered }]): Row => {
    const result = origin === 'upstream' ? 'miss' : 'hit';
    return [{ result, source: labels.of(id, origin) }, answered];
  });
  counter('narinfo_requests_total', 'Narinfo requests of this machine, by result and by who answered.', [
    [{ result: 'absent', source: '' }, narinfo.absent],
    ...answered,
  ]);
  counter(
    'nar_requests_total',
    'NAR requests of this machine, by result.',
    byName('result', { hit: nar.hits, miss: nar.misses, absent: nar.absent, failed: nar.failed, left }),
  );
  counter(
    'shared_requests_total',
    'Requests of other machines at the LAN face, by result.',
    byName('result', { hit: shared.hits, miss: shared.misses, absent: shared.absent }),
  );
  counter(
    'source_narinfos_total',
    'Questions for narinfos to sources, by how they ended.',
    narinfos.flatMap(([id, { origin, found, absent, rejected, failed }]) =>
      byName('result', { found, absent, rejected, failed }, { source: labels.of(id, origin) }),
    ),
  );
  counter(
    'source_nars_total',
    'Transfers that took bytes from a source, bodies of it that broke off, and NARs that it gave wrong.',
    nars.flatMap(([id, { origin, transfers, failed, rejected }]) =>
      byName('result', { begun: transfers, failed, rejected }, { source: labels.of(id, origin) }),
    ),
  );
  counter('transfers_resumed_total', 'Times that a transfer went on with what was there.', [
    [{}, nar.resumed],
  ]);
  counter('transfers_switched_total', 'Times that a transfer went on at another source.', [
    [{}, nar.switched],
  ]);
  counter(
    'received_bytes_total',
    'Bytes of bodies from the network, and of NAR files from the disk.',
    byName('origin', { disk: bytes.fromDisk, lan: bytes.fromLan, upstream: bytes.fromUpstream }),
  );
  counter('served_bytes_total', 'Bytes of narinfos and decoded NARs given to this machine.', [
    [{}, bytes.served],
  ]);
  counter('shared_bytes_total', 'Bytes given to other machines.', [[{}, shared.bytes]]);
  const { paths: uploaded, bytes: uploadedBytes, noRoom, ...refused } = uploads;
  counter('uploaded_paths_total', 'Store paths that were uploaded and taken.', [[{}, uploaded]]);
  counter('uploaded_bytes_total', 'Bytes of bodies that uploaders sent.', [[{}, uploadedBytes]]);
  counter(
    'upload_refusals_total',
    'Uploads that were refused, by reason.',
    byName('reason', { ...refused, no_room: noRoom }),
  );
  counter('wasted_bytes_total', 'Bytes of NAR files received in vain.', [[{}, bytes.wasted]]);
  counter('saved_upstream_bytes_total', 'Bytes of NAR files that came from disk or LAN instead.', [
    [{}, bytes.savedUpstream],
  ]);

  const { cache, network, sources, peers } = stats;
  counter('cache_evicted_nars_total', 'NARs removed to make room or for their age.', [[{}, cache.evictions]]);
  counter('cache_evicted_bytes_total', 'Bytes freed by that.', [[{}, cache.evicted.bytes]]);
  counter('cache_quarantined_nars_total', 'Stored NARs found wrong.', [[{}, cache.quarantined]]);
  counter('cache_refused_writes_total', 'Writes that the disk refused.', [[{}, cache.refusedWrites]]);
  gauge('cache_paths', 'Store paths in the cache directory.', [[{}, cache.paths]]);
  gauge('cache_bytes', 'Disk space that the cache directory takes.', [[{}, cache.bytes]]);
  gauge('cache_limit_bytes', 'What it may take; 0 is no limit.', [[{}, cache.maxBytes]]);
  gauge('cache_partial_bytes', 'Disk space of interrupted transfers.', [[{}, cache.partial.bytes]]);
  gauge('cache_disk_ok', 'Whether the disk takes writes.', [[{}, cache.disk.condition === 'ok' ? 1 : 0]]);
  gauge('online', 'Whether this machine has a network.', [[{}, network.online ? 1 : 0]]);
  gauge(
    'network_state',
    'Where this machine is: 1 for one of home, away, offline and captive.',
    byName('state', { home: 0, away: 0, offline: 0, captive: 0, [network.state]: 1 }),
  );
  gauge(
    'source_up',
    'Sources that answer.',
    sources.map(
      ({ id, reach, health }): Row => [{ source: labels.of(id, reach), reach }, health === 'up' ? 1 : 0],
    ),
  );
  const inState = (state: string) => peers.filter((peer) => peer.state === state).length;
  gauge(
    'peers',
    'Caches known on the LAN.',
    byName('state', { up: inState('up'), down: inState('down'), checking: inState('checking') }),
  );
  gauge('transfers_running', 'NARs that are being transferred now.', [[{}, stats.transfers.length]]);
  gauge('start_time_seconds', 'When it was started.', [[{}, Date.parse(stats.startedAt) / 1_000]]);
  gauge('build_info', 'Its version.', [[{ version: stats.version }, 1]]);
  gauge('resident_memory_bytes', 'Memory that it takes.', [[{}, process.memoryUsage.rss()]]);
  const { user, system } = process.cpuUsage();
  counter('cpu_seconds_total', 'CPU time that it took.', [[{}, (user + system) / 1e6]]);

  const lookups = [{ labels: {}, times: times.lookups }];
  const answers = sources.flatMap(({ id, reach }) => {
    const of = times.answers.get(id);
    return of !== undefined && labels.of(id, reach) === id ? [{ labels: { source: id }, times: of }] : [];
  });
  registry.registerMetric(
    new Durations('narrowcast_lookup_duration_seconds', 'From a narinfo request to its answer.', lookups),
  );
  registry.registerMetric(
    new Durations('narrowcast_source_duration_seconds', 'From a question to its answer.', answers),
  );
  return await registry.metrics();
}

/** A row for each name. */
function byName(
  label: string,
  values: Readonly<Record<string, number>>,
  more: Readonly<Record<string, string>> = {},
): Row[] {
  return Object.entries(values).map(([name, value]) => [{ ...more, [label]: name }, value]);
}
