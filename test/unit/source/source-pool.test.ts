import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DirectorySource } from '../../../agent/source/directory-source.ts';
import { MonitoredSource, type MonitorOptions } from '../../../agent/source/monitored-source.ts';
import type { Reach, Source } from '../../../agent/source/source.ts';
import { inOrder, SourcePool } from '../../../agent/source/source-pool.ts';
import { cacheFiles, storeDir, temporaryDirectory, writeFiles } from './support/cache-files.ts';
import { httpSource } from './support/http-source.ts';
import { logLines } from './support/log-lines.ts';
import { ScriptedServer, text } from './support/scripted-server.ts';

const { log } = await logLines();
const options: MonitorOptions = { storeDir, log, online: () => true };

function upstream(host: string, priority?: number, reach: Reach = 'upstream'): Source {
  return httpSource(new URL(`http://${host}.example`), { priority, reach });
}

function directory(dir: string): Source {
  return new DirectorySource({ dir, storeDir, lookupTimeout: 20_000, stalledTimeout: 30_000 });
}

interface Standing {
  readonly reach: Reach;
  readonly priority: number;
  readonly latency: number | undefined;
}

const standing = fc.record({
  reach: fc.constantFrom<Reach>('disk', 'lan', 'upstream'),
  priority: fc.integer({ min: 0, max: 3 }),
  latency: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
});

function standingAt({ reach, priority, latency }: Standing): MonitoredSource {
  const source = new MonitoredSource(upstream('a', priority, reach), options);
  if (latency !== undefined) source.latency.add(latency);
  return source;
}

describe('the order of sources', () => {
  test('is near before far, then the operator’s priority, then the quicker', () => {
    const far: Standing = { reach: 'upstream', priority: 0, latency: 0 };
    const near: Standing = { reach: 'lan', priority: 9, latency: 9 };
    const compared = (a: Standing, b: Standing) => Math.sign(inOrder(standingAt(a), standingAt(b)));
    expect(compared(near, far)).toBe(-1);
    expect(compared({ ...near, reach: 'disk' }, near)).toBe(0);
    expect(compared({ ...far, latency: 9 }, { ...far, priority: 1 })).toBe(-1);
    expect(compared(far, { ...far, latency: 1 })).toBe(-1);
    expect(compared({ ...far, latency: 9 }, { ...far, latency: undefined })).toBe(-1);
  });

  test('is one: sorting does not depend on where it begins', () => {
    fc.assert(
      fc.property(fc.array(standing, { maxLength: 6 }), (standings) => {
        const all = standings.map(standingAt);
        const key = (source: MonitoredSource) => [
          source.source.reach === 'upstream',
          source.priority,
          source.latency.value,
        ];
        const forth = all.toSorted(inOrder).map(key);
        expect(all.toReversed().sort(inOrder).map(key)).toEqual(forth);
      }),
      { numRuns: 50 },
    );
  });

  test('knows the cache’s own priority, and the operator’s goes before it', async () => {
    await using server = await ScriptedServer.start(text(200, `StoreDir: ${storeDir}\nPriority: 12\n`));
    for (const [given, expected] of [
      [undefined, 12],
      [3, 3],
    ]) {
      const source = new MonitoredSource(httpSource(server.url, { priority: given }), options);
      expect(source.priority).toBe(given ?? 50);
      await source.check();
      expect(source.priority).toBe(expected);
    }
  });

  test('takes the newest latency for a quarter', () => {
    const { latency } = new MonitoredSource(upstream('a'), options);
    expect(latency.value).toBeUndefined();
    latency.add(100);
    expect(latency.value).toBe(100);
    latency.add(20);
    expect(latency.value).toBe(80);
  });
});

describe('the pool', () => {
  test('gives usable sources in order, and tells of every change', async () => {
    const dir = await temporaryDirectory();
    await writeFiles(dir, cacheFiles());
    const pool = new SourcePool(options);
    let changes = 0;
    pool.on('changed', () => changes++);
    pool.add(upstream('late', 60));
    pool.add(upstream('early', 10));
    const here = pool.add(directory(dir));
    const missing = pool.add(directory(`${dir}/missing`));
    expect(changes).toBe(4);
    expect(pool.usable()).toHaveLength(4);
    await Promise.all([here.check(), missing.check()]);
    expect(changes).toBe(6);
    expect(pool.usable().map(({ id }) => id)).toEqual([
      `file://${dir}`,
      'http://early.example',
      'http://late.example',
    ]);
    expect(pool.all).toHaveLength(4);
    await pool.close();
  });

  test('closes a source that is removed', async () => {
    const pool = new SourcePool(options);
    const source = pool.add(upstream('a'));
    let changes = 0;
    pool.on('changed', () => changes++);
    await pool.remove(source.id);
    expect(changes).toBe(1);
    expect(source.usable).toBe(false);
    expect(pool.get(source.id)).toBeUndefined();
    await pool.remove(source.id);
  });

  test('closes a source when another takes its place', () => {
    const pool = new SourcePool(options);
    const first = pool.add(upstream('a'));
    const second = pool.add(upstream('a'));
    expect(first.usable).toBe(false);
    expect(second.usable).toBe(true);
    expect(pool.get('http://a.example')).toBe(second);
    expect(pool.all).toHaveLength(1);
  });

  test('asks every source at the start', async () => {
    await using server = await ScriptedServer.start(text(200, `StoreDir: ${storeDir}\n`));
    const pool = new SourcePool(options);
    pool.add(httpSource(server.url));
    pool.add(httpSource(new URL('/other', server.url)));
    await pool.checkAll();
    expect(server.asked.toSorted()).toEqual(['/nix-cache-info', '/other/nix-cache-info']);
    expect(pool.all.map(({ health }) => health)).toEqual(['up', 'up']);
    await pool.close();
  });

  test('tells every source of another network', async () => {
    let online = false;
    const pool = new SourcePool({ ...options, online: () => online });
    pool.add(upstream('a'));
    expect(pool.usable()).toEqual([]);
    online = true;
    const changed = new Promise<void>((resolve) => pool.once('changed', resolve));
    await pool.networkChanged();
    await changed;
    expect(pool.usable()).toHaveLength(1);
    await pool.close();
  });
});
