import { constants, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { expectWhole, lan, large, scene, upstream } from './support/scene.ts';

const { files } = large;

describe('a source that dies', () => {
  test.for([0.1, 0.5, 0.99])('I6: at %d, another with the same file goes on at that byte', async (part) => {
    const w = await scene();
    const diesAfter = 1_000 * Math.floor((files.xz.length * part) / 1_000);
    const near = w.add(lan({ diesAfter, chunk: 1_000, pause: 10 }), 'xz');
    const far = w.add(upstream(), 'xz');
    expectWhole(await w.run(w.get()));
    expect([near.bytes, far.bytes]).toEqual([diesAfter, files.xz.length - diesAfter]);
    expect(far.opened[0]?.at).toBeLessThan(near.lastByteAt + 1_000);
  });

  test.for([0.1, 0.5, 0.99])('I6: at %d, another file is decoded anew, once', async (part) => {
    const w = await scene();
    const near = w.add(lan({ diesAfter: files.zstd.length * part, chunk: 1_000, pause: 10 }), 'zstd');
    const far = w.add(upstream(), 'xz');
    expectWhole(await w.run(w.get()));
    expect(near.bytes).toBeGreaterThan(0);
    expect(far.opened).toMatchObject([{ offset: 0, bytes: files.xz.length }]);
  });

  test('that went silent is given up after the stall timeout, and the LAN is asked before the WAN', async () => {
    const w = await scene();
    const far = w.add(upstream(), 'xz');
    w.add(lan({ openings: [{ silentAfter: 50_000 }], chunk: 1_000, pause: 10 }), 'xz');
    const other = w.add(lan({ id: 'lan2' }), 'zstd');
    const got = await w.run(w.get());
    expectWhole(got);
    expect(got.last).toBeLessThan(32_000);
    expect([far.bytes, other.bytes]).toEqual([0, files.zstd.length]);
  });

  test('that went silent alone is down at once, however short the stall timeout', async () => {
    const w = await scene();
    const near = w.add(lan({ openings: [{ silentAfter: 50_000 }], stalledTimeout: 1_000 }), 'xz');
    const far = w.add(upstream(), 'xz');
    expectWhole(await w.run(w.get()));
    expect([near.opened.length, far.bytes]).toEqual([1, files.xz.length - 50_000]);
  });

  describe('that goes silent again and again, after half of the rest each time', () => {
    const openings = [1, 2, 3, 4].map((n) => ({ silentAfter: Math.floor(files.xz.length / 2 ** n) }));

    test('has less patience after the first time, and costs no byte twice', async () => {
      const w = await scene();
      const far = w.add(upstream({ openings }), 'xz');
      const got = await w.run(w.get());
      expectWhole(got);
      expect(far.opened).toHaveLength(5);
      expect(far.bytes).toBe(files.xz.length);
      expect(got.last).toBeLessThan(30_000 + 3 * 3_750 + 4_000);
    });

    test('comes behind others then', async () => {
      const w = await scene();
      const near = w.add(lan({ openings }), 'xz');
      const far = w.add(upstream({ chunk: 1_000, pause: 100 }), 'xz');
      expectWhole(await w.run(w.get()));
      expect(near.opened).toHaveLength(2);
      expect(near.bytes + far.bytes).toBe(files.xz.length);
    });

    test('has the usual patience where it cannot go on at a byte', async () => {
      const w = await scene();
      const far = w.add(upstream({ openings: openings.slice(0, 2), ranges: 'ignored' }), 'xz');
      const got = await w.run(w.get());
      expectWhole(got);
      expect(far.opened).toHaveLength(3);
      expect(got.last).toBeGreaterThan(60_000);
    });

    test('has the usual patience when nothing came the last time, and is given up in the end', async () => {
      const w = await scene();
      const silent = { silentAfter: 0 };
      const far = w.add(upstream({ openings: openings.slice(0, 1), always: silent }), 'xz');
      const got = await w.run(w.get());
      expect(got.how).toBe('cut');
      const [, second, third, fourth] = far.opened.map(({ at }) => at);
      expect((third ?? 0) - (second ?? 0)).toBeLessThan(10_000);
      expect((fourth ?? 0) - (third ?? 0)).toBeGreaterThan(30_000);
    });
  });

  test('a source that was not asked before is found when all others are gone', async () => {
    const w = await scene();
    w.add(lan({ diesAfter: 50_000 }), 'xz');
    const far = w.add(upstream(), 'xz', { hidden: true });
    expectWhole(await w.run(w.get()));
    expect(far.opened).toHaveLength(1);
  });

  test('a source that cannot be connected to is passed over', async () => {
    const w = await scene();
    w.add(lan({ up: () => false }), 'xz');
    w.add(lan({ id: 'gone', always: { refuse: 'gone' } }), 'xz');
    w.add(upstream(), 'zstd');
    const got = await w.run(w.get());
    expectWhole(got);
    expect(got.first).toBeLessThan(1_000);
  });

  test('sources with different files that fail in turn do not make it begin anew for ever', async () => {
    const w = await scene();
    const time = w.time;
    // Each is away while the other is there, and never there long enough for a whole file.
    const turn = (n: number) => () => Math.floor(time.now() / 2_000) % 2 === n;
    const a = w.add(lan({ id: 'a', chunk: 1_000, pause: 20, up: turn(0) }), 'xz');
    const b = w.add(lan({ id: 'b', chunk: 1_000, pause: 20, up: turn(1) }), 'zstd');
    expectWhole(await w.run(w.get()));
    expect(a.bytes + b.bytes).toBeLessThan(5 * files.xz.length);
  });
});

describe('a source that answers a range with something else', () => {
  test('the whole file: what is there already is passed over', async () => {
    const w = await scene();
    const openings = [{ cutAfter: 60_000 }];
    const source = w.add(upstream({ openings, ranges: 'ignored' }), 'xz');
    expectWhole(await w.run(w.get()));
    expect(source.opened).toMatchObject([
      { offset: 0, bytes: 60_000 },
      { offset: 60_000, from: 0, bytes: files.xz.length },
    ]);
  });

  test('the whole file, and is cut each time: it is given up', async () => {
    const w = await scene();
    const source = w.add(upstream({ always: { cutAfter: 100_000 }, ranges: 'ignored' }), 'xz');
    expect((await w.run(w.get())).how).toBe('cut');
    expect(source.opened).toHaveLength(3);
  });

  test('another part: it is begun anew there when nobody else has that file', async () => {
    const w = await scene();
    const source = w.add(upstream({ openings: [{ cutAfter: 60_000 }], ranges: 'wrong' }), 'xz');
    expectWhole(await w.run(w.get()));
    expect(source.bytes).toBe(60_000 + files.xz.length);
  });

  test('a file of another length: it is begun anew', async () => {
    const w = await scene();
    const other = zstdCompressSync(large.nar, { params: { [constants.ZSTD_c_compressionLevel]: 19 } });
    expect(other.length).not.toBe(files.zstd.length);
    const openings = [{ cutAfter: 60_000, file: files.zstd }];
    const source = w.add(upstream({ openings, file: other }), 'zstd', { nameless: true });
    expectWhole(await w.run(w.get()));
    expect(source.bytes).toBe(60_000 + other.length);
  });

  test('a login page in its place: what is there is kept, and the rest comes after the login', async () => {
    const w = await scene();
    const captive = () => w.time.now() > 5 && w.time.now() < 50_000;
    const source = w.add(upstream({ openings: [{ cutAfter: 60_000 }], captive }), 'xz');
    const client = w.get();
    await w.run(w.time.sleep(40_000));
    expect(w.pool.get('upstream')?.health).toBe('captive');
    expectWhole(await w.run(client));
    const [before, ...after] = source.opened.filter(({ from, offset }) => from === offset);
    expect(before?.bytes).toBe(60_000);
    expect(after.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(files.xz.length - 60_000);
  });
});
