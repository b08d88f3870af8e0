import { describe, expect, test } from 'vitest';
import { KnownPath } from '../../../agent/relay/known-path.ts';
import { type NarSample, narSample } from './support/nar-sample.ts';
import { expectWhole, flipped, lan, large, peer, scene, upstream } from './support/scene.ts';
import type { ScriptedSource } from './support/scripted-source.ts';
import type { World } from './support/world.ts';

const { files } = large;
/** Takes half a minute for the large NAR's xz file. */
const slowLink = { chunk: 500, pause: 50 };

/** NARs that are asked for afterwards, and that every source has. */
const next = Array.from({ length: 5 }, (_, n) => narSample(`next-${n}`, 30_000));
const further = { others: new Map(next.map(({ files, narinfo }) => [narinfo('xz').url, files.xz])) };

function offered(w: World, { narinfo }: NarSample): KnownPath {
  const known = new KnownPath({ narinfo: narinfo('xz'), by: 'test-1' }, 0);
  for (const source of w.pool.all) known.offer({ source, narinfo: narinfo('xz') }, w.time.now());
  return known;
}

/** Adds a source after some virtual ms, which is found when a transfer asks for more. */
async function later(w: World, ms: number, add: () => ScriptedSource): Promise<ScriptedSource> {
  await w.time.sleep(ms);
  return add();
}

describe('a cache nearby that comes up while a NAR comes from afar', () => {
  test('gives the rest of the same file when the operator named it', async () => {
    const w = await scene();
    const far = w.add(upstream(slowLink), 'xz');
    const [got, near] = await w.run(
      Promise.all([w.get(), later(w, 5_000, () => w.add(lan(), 'xz', { hidden: true }))]),
    );
    expectWhole(got);
    expect(got.last).toBeLessThan(7_000);
    expect(far.bytes + near.bytes).toBe(files.xz.length);
    expect(far.bytes).toBeLessThan(80_000);
  });

  test('gives all of it when it must be verified first and less than half is there', async () => {
    const w = await scene();
    const far = w.add(upstream(slowLink), 'xz');
    const [got, near] = await w.run(
      Promise.all([w.get(), later(w, 5_000, () => w.add(peer(), 'xz', { hidden: true }))]),
    );
    expectWhole(got);
    expect(got.last).toBeLessThan(7_000);
    expect(near.bytes).toBe(files.xz.length);
    expect(far.bytes).toBeLessThan(80_000);
  });

  test('is not begun with when it must be verified first and most is there', async () => {
    const w = await scene();
    const far = w.add(upstream(slowLink), 'xz');
    const [got, near] = await w.run(
      Promise.all([w.get(), later(w, 20_000, () => w.add(peer(), 'xz', { hidden: true }))]),
    );
    expectWhole(got);
    expect(far.bytes).toBe(files.xz.length);
    expect(near.opened).toEqual([]);
  });

  test('is let be when the rest comes soon', async () => {
    const w = await scene();
    const { length } = files.xz;
    const far = w.add(upstream({ chunk: Math.ceil(length / 40), pause: 100 }), 'xz');
    const [got, near] = await w.run(
      Promise.all([w.get(), later(w, 2_500, () => w.add(lan(), 'xz', { hidden: true }))]),
    );
    expectWhole(got);
    expect(far.bytes).toBe(length);
    expect(near.opened).toEqual([]);
  });

  test('is asked once: one that does not have the NAR costs nothing', async () => {
    const w = await scene();
    const far = w.add(upstream(slowLink), 'xz');
    const other = narSample('other', 1_000);
    const [got] = await w.run(
      Promise.all([
        w.get(),
        w.time.sleep(5_000).then(() => {
          w.alike(other, lan());
        }),
      ]),
    );
    expectWhole(got);
    expect(far.opened).toMatchObject([{ offset: 0, bytes: files.xz.length }]);
  });
});

describe('a discovered peer that gives a byte a second', () => {
  const crawling = { chunk: 1, pause: 1_000 };

  test('is left within seconds for an upstream, and for a peer that has not proven itself either', async () => {
    for (const other of [upstream({ id: 'b' }), peer({ id: 'b' })]) {
      const w = await scene();
      const slow = w.add(peer({ id: 'a', ...crawling }), 'xz');
      const good = w.add(other, 'xz');
      const got = await w.run(w.get());
      expectWhole(got);
      expect(got.last).toBeLessThan(5_000);
      expect(slow.bytes).toBeLessThan(5);
      expect(good.bytes).toBe(files.xz.length);
    }
  });

  test('wastes no time of the next NARs', async () => {
    const w = await scene();
    const slow = w.add(peer({ id: 'a', ...crawling, ...further }), 'xz');
    w.add(peer({ id: 'b', ...further }), 'xz');
    expectWhole(await w.run(w.get()));
    const opened = slow.opened.length;
    const began = w.time.now();
    for (const sample of next) expectWhole(await w.run(w.get({ known: offered(w, sample) })), sample.nar);
    expect(w.time.now() - began).toBeLessThan(1_000);
    expect(slow.opened.length).toBe(opened);
  });

  test('is what there is when nobody else has the NAR', async () => {
    const w = await scene({ sample: narSample('tiny', 20) });
    const slow = w.add(peer(crawling), 'none');
    expectWhole(await w.run(w.get()), w.sample.nar);
    expect(slow.bytes).toBe(w.sample.nar.length);
  });

  test('is not left when the client is what is slow', async () => {
    const w = await scene({ disk: false, sample: narSample('medium', 200_000) });
    const source = w.add(lan(), 'none');
    const far = w.add(upstream(), 'none');
    expectWhole(await w.run(w.get({ pause: 1_000 })), w.sample.nar);
    expect(source.bytes).toBe(w.sample.nar.length);
    expect(far.bytes).toBe(0);
  });
});

test('a discovered peer that went silent or lied comes last in the next transfers', async () => {
  for (const bad of [{ openings: [{ silentAfter: 10 }] }, { openings: [{ file: flipped(files.xz) }] }]) {
    const w = await scene();
    const spoiler = w.add(peer({ id: 'a', ...bad, ...further }), 'xz');
    w.add(peer({ id: 'b', ...further }), 'xz');
    expectWhole(await w.run(w.get()));
    await w.run(w.time.sleep(60_000));
    expect(w.pool.get('a')?.usable).toBe(true);
    const before = spoiler.bytes;
    for (const sample of next) expectWhole(await w.run(w.get({ known: offered(w, sample) })), sample.nar);
    expect(spoiler.bytes).toBe(before);
  }
});

describe('a cache nearby that wants to be asked later', () => {
  const busy = { always: { refuse: 'unavailable', retryAfter: 5_000 } } as const;

  test('is not waited for while another has the NAR, which nobody has been asked for yet', async () => {
    const w = await scene();
    const near = w.add(lan(busy), 'xz');
    w.add(upstream(), 'xz', { hidden: true });
    const got = await w.run(w.get());
    expectWhole(got);
    expect(got.last).toBeLessThan(1_000);
    expect(near.opened).toHaveLength(1);
  });

  test('is waited for while nobody else has it', async () => {
    const w = await scene();
    const near = w.add(lan({ openings: [busy.always] }), 'xz');
    const got = await w.run(w.get());
    expectWhole(got);
    expect(near.opened.map(({ at }) => at).at(-1)).toBeGreaterThanOrEqual(5_000);
  });
});
