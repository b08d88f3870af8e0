import { describe, expect, test } from 'vitest';
import { expectWhole, large, scene, upstream } from './support/scene.ts';
import type { World } from './support/world.ts';

const { files } = large;
/** Agents that come before and behind this one in the alphabet. */
const before = '1.1 narrowcast-a';
const behind = '1.1 narrowcast-z';

/** A source that gives nothing for so long, in ms. */
const silent = (latency: number) => upstream({ id: 'other', reach: 'lan', latency });

/** A client's request, and a moment later that of another agent. Resolves to when the client had all. */
async function both(w: World, via: string): Promise<number> {
  const another = w.time.sleep(100).then(() => w.get({ via }));
  const [got, given] = await w.run(Promise.all([w.get(), another]));
  expectWhole(got);
  expectWhole(given);
  return got.last;
}

describe('I10: a source that may wait for this transfer itself', () => {
  test('is left soon where the asker comes first in the alphabet and another source has the NAR', async () => {
    const w = await scene();
    w.add(silent(600_000), 'xz');
    const far = w.add(upstream(), 'xz', { hidden: true });
    expect(await both(w, before)).toBeLessThan(2_000);
    expect(far.opened).toHaveLength(1);
  });

  test('is left after a while where the asker comes last, as the asker does nothing', async () => {
    const w = await scene();
    w.add(silent(600_000), 'xz');
    w.add(upstream(), 'xz');
    const took = await both(w, behind);
    expect(took).toBeGreaterThan(10_000);
    expect(took).toBeLessThan(12_000);
  });

  test('is waited for where it is the only one, until the asker has left it', async () => {
    const w = await scene();
    const other = w.add(silent(11_000), 'xz');
    expect(await both(w, before)).toBeGreaterThan(11_000);
    expect(other.opened).toMatchObject([{ bytes: files.xz.length }]);
  });

  test.for([before, behind])('is waited for where it has the NAR for the asker %s, too', async (via) => {
    const w = await scene();
    w.add({ ...silent(30_000), narinfo: large.narinfo('xz') }, 'xz');
    const far = w.add(upstream(), 'xz');
    expect(await both(w, via)).toBeGreaterThan(30_000);
    expect(far.opened).toHaveLength(0);
  });

  test('is asked about so many askers only', async () => {
    const w = await scene();
    const other = w.add({ ...silent(30_000), narinfo: large.narinfo('xz') }, 'xz');
    const askers = Array.from({ length: 100 }, (_, n) => `${behind}${n}`);
    const others = w.time.sleep(100).then(() => Promise.all(askers.map((via) => w.get({ via }))));
    const [got, all] = await w.run(Promise.all([w.get(), others]));
    for (const one of [got, ...all]) expectWhole(one);
    expect(other.asked).toBeGreaterThan(1);
    expect(other.asked).toBeLessThanOrEqual(33);
  });

  test('is not left once it gives', async () => {
    const w = await scene();
    w.add({ ...silent(400), chunk: 1_000, pause: 100 }, 'xz');
    const far = w.add(upstream(), 'xz');
    await both(w, before);
    expect(far.opened).toHaveLength(0);
  });
});
