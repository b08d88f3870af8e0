import { describe, expect, test } from 'vitest';
import { KnownPath } from '../../../agent/relay/known-path.ts';
import { narSample } from './support/nar-sample.ts';
import { expectWhole, lan, large, peer, scene, upstream } from './support/scene.ts';
import type { World } from './support/world.ts';

const { files } = large;

/** Lets a source be known for so many bytes a second. */
function knownFor(w: World, id: string, bytesPerSecond: number): void {
  w.pool.get(id)?.throughput.add(bytesPerSecond);
}

describe('a source that is too slow', () => {
  test('is left when another is known to be much faster; the same file goes on there', async () => {
    const w = await scene();
    const slow = w.add(lan({ chunk: 100, pause: 100 }), 'xz');
    const fast = w.add(upstream({ chunk: 1_000, pause: 10 }), 'xz');
    knownFor(w, 'upstream', 100_000);
    const got = await w.run(w.get());
    expectWhole(got);
    expect(slow.bytes + fast.bytes).toBe(files.xz.length);
    expect(got.last).toBeGreaterThan(5_000);
    expect(got.last).toBeLessThan(10_000);
    expect(slow.opened).toHaveLength(1);
  });

  test('is left for one that was not asked yet whether it has the NAR', async () => {
    const w = await scene();
    w.add(lan({ chunk: 100, pause: 100 }), 'xz');
    const fast = w.add(upstream({ chunk: 1_000, pause: 10 }), 'zstd', { hidden: true });
    knownFor(w, 'upstream', 100_000);
    const got = await w.run(w.get());
    expectWhole(got);
    expect(got.last).toBeLessThan(10_000);
    expect(fast.opened).toMatchObject([{ offset: 0, bytes: files.zstd.length }]);
  });

  test('is not left for one that is only somewhat faster, or of which nothing is known', async () => {
    for (const speed of [3_000, undefined]) {
      const w = await scene();
      const slow = w.add(lan({ chunk: 100, pause: 100 }), 'xz');
      w.add(upstream(), 'xz');
      if (speed !== undefined) knownFor(w, 'upstream', speed);
      expectWhole(await w.run(w.get()));
      expect(slow.bytes).toBe(files.xz.length);
    }
  });

  test('is not left near its end', async () => {
    const w = await scene({ sample: narSample('short', 12_000) });
    const slow = w.add(lan({ chunk: 1_000, pause: 1_000 }), 'none');
    w.add(upstream(), 'none');
    knownFor(w, 'upstream', 1_000_000);
    expectWhole(await w.run(w.get()), w.sample.nar);
    expect(slow.bytes).toBe(12_000);
  });

  test('is not left when the client is what is slow', async () => {
    const w = await scene({ disk: false });
    const source = w.add(lan(), 'none');
    w.add(upstream(), 'none');
    knownFor(w, 'upstream', 10_000_000);
    expectWhole(await w.run(w.get({ pause: 1_000 })));
    expect(source.bytes).toBe(files.none.length);
  });

  test('is not left for a source that must be verified first', async () => {
    const w = await scene();
    const slow = w.add(upstream({ chunk: 100, pause: 100 }), 'xz', { hidden: true });
    w.add(peer({ diesAfter: 10 }), 'xz');
    knownFor(w, 'peer', 1_000_000);
    expectWhole(await w.run(w.get()));
    expect(slow.bytes).toBe(files.xz.length);
  });

  test('two slow sources do not take turns for ever', async () => {
    const w = await scene();
    const sources = ['a', 'b', 'c'].map((id) => w.add(lan({ id, chunk: 100, pause: 200 }), 'xz'));
    for (const { id } of sources) knownFor(w, id, 1_000_000);
    expectWhole(await w.run(w.get()));
    expect(sources.map(({ opened }) => opened.length)).toEqual([1, 1, 1]);
    expect(sources.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(files.xz.length);
  });

  test('many transfers that share a source do not make it seem slow', async () => {
    const w = await scene();
    const samples = Array.from({ length: 6 }, (_, n) => narSample(`shared-${n}`, 300_000));
    const others = new Map(samples.map(({ files, narinfo }) => [narinfo('xz').url, files.xz]));
    // At 10 KB/s each, they take 70 KB/s together.
    const source = w.add(lan({ others, chunk: 500, pause: 50 }), 'xz');
    const far = w.add(upstream(), 'xz');
    knownFor(w, 'upstream', 100_000);
    const monitored = w.pool.get(source.id);
    if (monitored === undefined) throw new Error('no source');
    const paths = samples.map(({ narinfo }) => {
      const known = new KnownPath({ narinfo: narinfo('xz'), by: 'test-1' }, 0);
      known.offer({ source: monitored, narinfo: narinfo('xz') }, 0);
      return known;
    });
    const [got] = await w.run(Promise.all([w.get(), ...paths.map((known) => w.get({ known }))]));
    expectWhole(got);
    expect(far.bytes).toBe(0);
  });

  test('is known by what it gave', async () => {
    const w = await scene();
    w.add(upstream({ chunk: 1_000, pause: 100 }), 'xz');
    expectWhole(await w.run(w.get()));
    expect(w.pool.get('upstream')?.throughput.value).toBeGreaterThan(9_000);
    expect(w.pool.get('upstream')?.throughput.value).toBeLessThan(11_000);
  });
});
