import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { metricsText } from '../../../agent/http/metrics-text.ts';
import { emptyCounts, emptyNarinfoOfSource } from '../../../agent/telemetry/counts.ts';
import { Histogram } from '../../../agent/telemetry/histogram.ts';
import { emptyStats } from '../../fixtures/stats.ts';
import { temporaryDirectory } from '../cache/support/temporary.ts';
import { startAgent } from './agent-here.ts';
import { ask } from './lan-face.ts';

const dashboard = join(import.meta.dirname, '../../../docs/grafana.json');
const dashboardSchema = v.object({
  panels: v.array(v.object({ targets: v.array(v.object({ expr: v.string() })) })),
});

/** What Prometheus's own checker says against a page of metrics; undefined where there is none. */
function complaints(text: string): string | undefined {
  const { error, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  });
  return error === undefined ? stdout + stderr : undefined;
}

/** The value of a metric by its whole name. */
function metric(text: string, name: string): number | undefined {
  const line = text.split('\n').find((line) => line.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

describe('GET /metrics', () => {
  it('is a page that promtool has nothing against, of a real agent', async (context) => {
    const port = await startAgent(
      ['substituters', 'http://127.0.0.1:9'],
      ['lan.peers', 'http://127.0.0.1:10'],
    );
    await ask(port, '/00000000000000000000000000000000.narinfo');
    const { status, headers, body } = await ask(port, '/metrics');
    expect([status, headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    const text = body.toString();
    expect(metric(text, 'narrowcast_narinfo_requests_total{result="absent",source=""}')).toBe(1);
    expect(metric(text, 'narrowcast_lookup_duration_seconds_count')).toBe(1);
    expect(metric(text, 'narrowcast_source_up{source="http://127.0.0.1:9",reach="upstream"}')).toBe(0);
    const said = complaints(text);
    if (said === undefined) context.skip('promtool is not installed');
    expect(said).toBe('');
  });

  it('is for this machine', async () => {
    const port = await startAgent(['substituters', '']);
    expect((await ask(port, '/metrics', { headers: { host: 'rebound.example' } })).status).toBe(403);
    expect((await ask(port, '/metrics', { method: 'POST' })).status).toBe(405);
    expect((await ask(port, '/metrics/')).status).toBe(404);
  });

  it('has few labels, however many caches come and go, and counts them all', async (context) => {
    const sinceStart = emptyCounts();
    for (let n = 0; n < 60; n += 1) {
      const id = `http://192.168.0.${n}:6271"\\\n`;
      sinceStart.narinfo.bySource[id] = { ...emptyNarinfoOfSource('lan'), answered: 2, asked: 3, found: 3 };
    }
    Object.assign(sinceStart.uploads, { paths: 7, bytes: 1_000, noRoom: 2 });
    const text = await metricsText(
      { ...emptyStats, sinceStart },
      { lookups: new Histogram(), answers: new Map() },
    );
    const lines = text.split('\n').filter((line) => line.startsWith('narrowcast_narinfo_requests_total{'));
    expect(lines.length).toBe(1 + 32 + 1);
    expect(metric(text, 'narrowcast_narinfo_requests_total{result="hit",source="other-lan"}')).toBe(28 * 2);
    expect(metric(text, 'narrowcast_uploaded_paths_total')).toBe(7);
    expect(metric(text, 'narrowcast_upload_refusals_total{reason="no_room"}')).toBe(2);
    const said = complaints(text);
    if (said === undefined) context.skip('promtool is not installed');
    expect(said).toBe('');
  });

  it('tells durations as they were, in seconds', async () => {
    const lookups = new Histogram();
    for (const ms of [0.2, 0.9, 1, 1.1, 3, 700, 600_000]) lookups.add(ms);
    const text = await metricsText(emptyStats, { lookups, answers: new Map() });
    const bucket = (le: string) => metric(text, `narrowcast_lookup_duration_seconds_bucket{le="${le}"}`);
    expect(['0.0005', '0.001', '0.002', '0.004', '0.512', '1.024', '+Inf'].map(bucket)).toEqual([
      1, 3, 4, 5, 5, 6, 7,
    ]);
    expect(metric(text, 'narrowcast_lookup_duration_seconds_sum')).toBeCloseTo(600.7062, 6);
    expect(metric(text, 'narrowcast_lookup_duration_seconds_count')).toBe(7);
  });
});

describe('docs/grafana.json', () => {
  it('asks for metrics that there are', async () => {
    const port = await startAgent(['substituters', 'http://127.0.0.1:9']);
    const text = (await ask(port, '/metrics')).body.toString();
    const names = new Set((await readFile(dashboard, 'utf8')).match(/narrowcast_[a-z_]+/g));
    expect(names.size).toBeGreaterThan(15);
    for (const name of names) expect(text, name).toContain(`# TYPE ${name.replace(/_bucket$/, '')} `);
  });

  it('asks in Prometheus’s language', async (context) => {
    const { panels } = v.parse(dashboardSchema, JSON.parse(await readFile(dashboard, 'utf8')));
    const variables = { $__range: '1h', $__rate_interval: '5m', $instance: '.*' };
    const rules = panels
      .flatMap(({ targets }) => targets)
      .map(({ expr }, n) => {
        const whole = Object.entries(variables).reduce(
          (text, [name, value]) => text.replaceAll(name, value),
          expr,
        );
        return { record: `rule:${n}`, expr: whole };
      });
    const file = join(await temporaryDirectory(), 'rules.json');
    await writeFile(file, JSON.stringify({ groups: [{ name: 'all', rules }] }));
    const { error, status, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    if (error !== undefined) context.skip('promtool is not installed');
    expect([status, stderr]).toEqual([0, '']);
  });
});
