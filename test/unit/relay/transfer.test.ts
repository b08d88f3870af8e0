import { describe, expect, onTestFinished, test } from 'vitest';
import { KnownPath } from '../../../agent/relay/known-path.ts';
import { narSample, type Representation } from './support/nar-sample.ts';
import { expectWhole, lan, large, scene, small, upstream } from './support/scene.ts';
import { temporaryCache } from './support/world.ts';

const { files } = large;

describe('one transfer, many clients', () => {
  test('I5: 20 clients of one cold NAR cost one request, and the NAR is stored', async () => {
    const w = await scene();
    const source = w.add(upstream({ pause: 1 }), 'zstd');
    const all = await w.run(Promise.all(Array.from({ length: 20 }, () => w.get())));
    for (const got of all) expectWhole(got);
    expect(source.opened).toMatchObject([{ offset: 0, bytes: files.zstd.length }]);

    expectWhole(await w.run(w.get()));
    expect(source.opened).toHaveLength(1);
    await w.settle();
    expect(w.known.stored).toBeDefined();
  });

  test('clients that come while it runs, from anywhere in the NAR, share it', async () => {
    const w = await scene();
    const source = w.add(upstream({ pause: 50 }), 'xz');
    const late = async (after: number, from: number) => {
      await w.time.sleep(after);
      return await w.get({ from });
    };
    const starts = [0, 70_000, 150_000, 299_999];
    const all = await w.run(Promise.all(starts.map((from, n) => late(300 * n, from))));
    for (const [n, { how, bytes }] of all.entries()) {
      expect(how).toBe('complete');
      expect(bytes.equals(large.nar.subarray(starts[n]))).toBe(true);
    }
    expect(source.opened).toHaveLength(1);
  });

  test('a client that reads 1 KB a second delays neither another nor the download', async () => {
    const alone = await scene();
    alone.add(upstream({ pause: 20 }), 'none');
    const undisturbed = await alone.run(alone.get());

    const w = await scene();
    w.add(upstream({ pause: 20 }), 'none');
    const [slow, quick] = await w.run(Promise.all([w.get({ pause: 30_000 }), w.get()]));
    expectWhole(slow);
    expectWhole(quick);
    expect(quick.last).toBeLessThan(undisturbed.last + 1_000);
    expect(slow.last).toBeGreaterThan(60_000);
  });

  test('a slow client alone does not hold the download back: it reads from the disk', async () => {
    const w = await scene();
    const source = w.add(upstream({ pause: 20 }), 'zstd');
    const slow = w.get({ pause: 60_000 });
    await w.run(w.time.sleep(20_000));
    expect(source.bytes).toBe(files.zstd.length);
    expectWhole(await w.run(slow));
  });

  test('when all leave early, what came is left for the next, who goes on from there', async () => {
    const w = await scene();
    const source = w.add(upstream({ pause: 20 }), 'xz');
    const left = await w.run(w.get({ until: 60_000 }));
    expect(left.how).toBe('left');
    await w.run(w.time.sleep(60_000));
    const before = source.bytes;
    expect(before).toBeLessThan(files.xz.length / 2);

    expectWhole(await w.run(w.get()));
    expect(source.bytes).toBe(files.xz.length);
  });

  test('when all leave after the half, or the source is near, it is fetched to its end', async () => {
    for (const [script, until] of [
      [upstream({ pause: 20 }), 200_000],
      [lan({ pause: 20 }), 60_000],
    ] as const) {
      const w = await scene();
      const source = w.add(script, 'zstd');
      expect((await w.run(w.get({ until }))).how).toBe('left');
      await w.run(w.time.sleep(60_000));
      expect(source.opened).toMatchObject([{ bytes: files.zstd.length }]);
      expect(w.known.stored).toBeDefined();
    }
  });

  test('a client that comes while the transfer that the last one left is ending is served', async () => {
    const w = await scene();
    const source = w.add(upstream({ pause: 20 }), 'xz');
    const leaveAndReturn = async () => {
      const { bytes } = await w.get({ until: 30_000 });
      return await w.get({ from: bytes.length });
    };
    const { how } = await w.run(leaveAndReturn());
    expect(how).toBe('complete');
    expect(source.bytes).toBe(files.xz.length);
  });

  test('two paths with the same NAR share it, and both are stored', async () => {
    const stored = await temporaryCache();
    onTestFinished(() => stored.close());
    const a = await scene({ cache: stored.cache });
    const source = a.add(upstream(), 'zstd');
    expectWhole(await a.run(a.get()));

    const twin = narSample('twin', 300_000);
    const sameNar = {
      ...large,
      narinfo: (r: Representation) => ({ ...large.narinfo(r), storePath: twin.narinfo(r).storePath }),
    };
    const b = await scene({ cache: stored.cache, sample: sameNar });
    const other = b.add(upstream(), 'zstd');
    expectWhole(await b.run(b.get()));
    expect([source.opened.length, other.opened.length]).toEqual([1, 0]);
    expect(b.known.stored).toBeDefined();
  });
});

describe('the link', () => {
  test.for(['none', 'zstd', 'xz', 'gzip'] as const)(
    'I5: cut 20 times, a %s file crosses it once, and the client sees one response',
    async (representation) => {
      const w = await scene();
      const step = Math.ceil(files[representation].length / 21);
      const openings = Array.from({ length: 20 }, () => ({ cutAfter: step }));
      const source = w.add(upstream({ openings, chunk: 1_000 }), representation);
      expectWhole(await w.run(w.get()));
      expect(source.opened).toHaveLength(21);
      expect(source.bytes).toBe(files[representation].length);
    },
  );

  test('I8: bytes that come very slowly are waited for, however long the whole takes', async () => {
    const w = await scene();
    const source = w.add(upstream({ chunk: 100, pause: 25_000 }), 'zstd');
    const got = await w.run(w.get());
    expectWhole(got);
    expect(got.last).toBeGreaterThan(3_600_000);
    expect(source.opened).toHaveLength(1);
  });

  test('while no source is reachable clients are held, and get data as soon as there is any', async () => {
    const w = await scene();
    let up = true;
    const source = w.add(upstream({ pause: 20, up: () => up }), 'xz');
    const client = w.get();
    await w.run(w.time.sleep(700));
    up = false;
    await w.run(w.time.sleep(100_000));
    const before = source.bytes;
    up = true;
    const got = await w.run(client);
    expectWhole(got);
    expect(before).toBeGreaterThan(0);
    expect(source.bytes).toBe(files.xz.length);
    expect(got.last).toBeLessThan(160_000);
  });

  test('they are cut when that takes longer than clients are patient, and can resume then', async () => {
    const w = await scene();
    let up = true;
    const source = w.add(upstream({ pause: 20, up: () => up }), 'xz');
    const client = w.get();
    await w.run(w.time.sleep(700));
    up = false;
    const got = await w.run(client);
    expect(got.how).toBe('cut');
    expect(got.last).toBeGreaterThan(115_000);
    expect(got.last).toBeLessThan(240_000);
    expect(got.bytes.length).toBeGreaterThan(0);

    const resumed = w.get({ from: got.bytes.length });
    await w.run(w.time.sleep(60_000));
    up = true;
    const { how, bytes } = await w.run(resumed);
    expect(how).toBe('complete');
    expect(Buffer.concat([got.bytes, bytes]).equals(large.nar)).toBe(true);
    expect(source.bytes).toBe(files.xz.length);
  });

  test('a NAR of which nothing has come is not waited for: it is not here', async () => {
    const w = await scene();
    w.add(upstream({ up: () => false }), 'xz');
    const { how, last } = await w.run(w.get());
    expect(how).toBe('unavailable');
    expect(last).toBeLessThan(1_000);
  });

  test('a source that fails every time without progress is given up, not tried for ever', async () => {
    const w = await scene();
    const source = w.add(upstream({ always: { cutAfter: 10 } }), 'xz');
    const { how, last } = await w.run(w.get());
    expect(how).toBe('unavailable');
    expect(last).toBeLessThan(2_000);
    expect(source.opened).toHaveLength(3);
  });

  test('one connection that goes silent among many does not mark the source as down', async () => {
    const w = await scene();
    const narinfo = small.narinfo('none');
    const others = new Map([[narinfo.url, small.nar]]);
    const openings = [{ silentAfter: 100_000 }];
    const source = w.add(upstream({ openings, others, chunk: 1_000, pause: 1_000 }), 'none');
    const monitored = w.pool.get(source.id);
    if (monitored === undefined) throw new Error('no source');
    const known = new KnownPath({ narinfo, by: 'test-1' }, 0);
    known.offer({ source: monitored, narinfo }, 0);
    const seen = new Set<string>();
    w.pool.on('changed', () => seen.add(monitored.health));

    const another = w.time.sleep(90_000).then(() => w.get({ known }));
    const [got, { how }] = await w.run(Promise.all([w.get(), another]));
    expectWhole(got);
    expect(how).toBe('complete');
    expect(source.opened).toHaveLength(3);
    expect([...seen]).not.toContain('down');
  });
});

test('who wants to know when a NAR is stored is told at the end of its transfer, or when that takes too long', async () => {
  const w = await scene();
  w.add(upstream({ chunk: 10_000, pause: 1_000 }), 'xz');
  const never = new AbortController().signal;
  const told = async (ms: number) => {
    await w.time.sleep(500);
    await w.transfers.settled(w.known, ms, never);
    return { at: w.time.now(), stored: w.known.stored !== undefined };
  };
  const [got, soon, late] = await w.run(Promise.all([w.get(), told(2_000), told(600_000)]));
  expectWhole(got);
  expect(soon).toEqual({ at: 2_500, stored: false });
  expect(late.stored).toBe(true);
  expect(late.at).toBeGreaterThanOrEqual(got.last);
  await w.run(w.transfers.settled(w.known, 600_000, never));
  expect(w.time.now()).toBe(late.at);
});
