import { describe, expect, onTestFinished, test } from 'vitest';
import type { NarCache } from '../../../agent/cache/nar-cache.ts';
import { KnownPath } from '../../../agent/relay/known-path.ts';
import { narSample } from './support/nar-sample.ts';
import { expectWhole, flipped, lan, large, peer, scene, small, upstream } from './support/scene.ts';
import { temporaryCache } from './support/world.ts';

const { files, nar } = large;

/** What an earlier transfer left of the large NAR's xz file. */
async function leavePartial(cache: NarCache, sourceId: string, bytes: Buffer): Promise<void> {
  const { url, compression, fileHash, fileSize } = large.narinfo('xz');
  const partial = await cache.partial(large.narHash);
  await partial?.begin({
    sourceId,
    url,
    compression,
    ...(fileHash && { fileHash }),
    ...(fileSize !== undefined && { fileSize }),
  });
  await partial?.append(bytes);
  await partial?.release();
}

describe('verify first: a discovered peer that has not proven itself', () => {
  test('I3: gives nothing to a client before the whole NAR is verified', async () => {
    const w = await scene();
    const source = w.add(peer({ chunk: 1_000, pause: 10 }), 'xz');
    const got = await w.run(w.get());
    expectWhole(got);
    expect(got.first).toBeGreaterThanOrEqual(source.lastByteAt);
  });

  test('I3: lies in one bit: it is found out, and an upstream gives the NAR', async () => {
    for (const at of [0, files.xz.length >> 1, files.xz.length - 1]) {
      const w = await scene();
      w.add(peer({ file: flipped(files.xz, at) }), 'xz');
      const far = w.add(upstream(), 'xz');
      expectWhole(await w.run(w.get()));
      expect(far.opened).toMatchObject([{ offset: 0, bytes: files.xz.length }]);
    }
  });

  test('I3: lies and is the only one: the NAR is not here, and no byte was given', async () => {
    for (const disk of [true, false]) {
      const w = await scene({ disk });
      const source = w.add(peer({ file: flipped(files.none) }), 'none');
      const { how, bytes } = await w.run(w.get());
      expect([how, bytes.length]).toEqual(['unavailable', 0]);
      expect(source.opened).toHaveLength(disk ? 1 : 0);
    }
  });

  test('without a disk a NAR that fits in memory is verified there', async () => {
    const w = await scene({ disk: false, sample: narSample('medium', 200_000) });
    w.add(peer({ pause: 10 }), 'xz');
    expectWhole(await w.run(w.get()), w.sample.nar);
  });

  test('has given 20 NARs that hold: its bytes go straight through, until one is wrong', async () => {
    const w = await scene();
    const samples = Array.from({ length: 22 }, (_, n) => narSample(`many-${n}`, 150_000));
    const others = new Map(samples.map(({ files, narinfo }) => [narinfo('xz').url, files.xz]));
    const lie = samples[21]?.narinfo('xz').url ?? '';
    others.set(lie, flipped(others.get(lie) ?? Buffer.alloc(0)));
    const source = w.add(peer({ others, chunk: 1_000, pause: 100 }), 'xz');
    const monitored = w.pool.get(source.id);
    if (monitored === undefined) throw new Error('no source');
    const streamed: boolean[] = [];
    for (const { narinfo } of samples) {
      const known = new KnownPath({ narinfo: narinfo('xz'), by: 'test-1' }, 0);
      known.offer({ source: monitored, narinfo: narinfo('xz') }, w.time.now());
      const got = await w.run(w.get({ known }));
      streamed.push(got.first < source.lastByteAt);
    }
    expect(streamed).toEqual(samples.map((_, n) => n >= 20));
    const got = await w.run(w.get());
    expect(got.first).toBeGreaterThanOrEqual(source.lastByteAt);
  });

  test('takes longer than a minute: an upstream is asked instead, and its bytes go straight through', async () => {
    const w = await scene();
    w.add(peer({ chunk: 400, pause: 1_000 }), 'xz');
    const far = w.add(upstream({ chunk: 1_000, pause: 1_000 }), 'xz', { hidden: true });
    const got = await w.run(w.get());
    expectWhole(got);
    expect(got.first).toBeGreaterThan(60_000);
    expect(got.first).toBeLessThan(75_000);
    expect(far.opened).toHaveLength(1);
  });

  test('trickles, and nobody else has it: it is given up', async () => {
    const w = await scene();
    w.add(peer({ chunk: 1, pause: 10_000 }), 'xz');
    const { how, last } = await w.run(w.get());
    expect(how).toBe('unavailable');
    expect(last).toBeLessThan(90_000);
  });

  test('dies when most has come: an upstream gives the rest', async () => {
    const w = await scene();
    w.add(peer({ diesAfter: 120_000, chunk: 1_000, pause: 10 }), 'xz');
    const far = w.add(upstream(), 'xz');
    expectWhole(await w.run(w.get()));
    expect(far.bytes).toBe(files.xz.length - 120_000);
  });

  test('dies early: an upstream gives all, straight through, for nobody can tell what the peer gave', async () => {
    const w = await scene();
    w.add(peer({ diesAfter: 20_000, chunk: 1_000 }), 'xz');
    const far = w.add(upstream({ chunk: 1_000, pause: 100 }), 'xz');
    const got = await w.run(w.get());
    expectWhole(got);
    expect(got.first).toBeLessThan(far.lastByteAt - 5_000);
  });

  test('gave the first part wrong: the upstream that gave the rest is not blamed', async () => {
    const w = await scene();
    w.add(peer({ file: flipped(nar, 5_000), diesAfter: 200_000, chunk: 1_000 }), 'none');
    const far = w.add(upstream(), 'none');
    expectWhole(await w.run(w.get()));
    expect(far.opened.map(({ offset }) => offset)).toEqual([200_000, 0]);
    expect(w.known.offers.map(({ source }) => source.id)).toEqual(['upstream']);
  });

  test('never goes on with what a trusted source began', async () => {
    const w = await scene();
    const far = w.add(upstream({ diesAfter: 40_000, chunk: 1_000 }), 'xz');
    const near = w.add(peer(), 'xz', { hidden: true });
    expectWhole(await w.run(w.get()));
    expect([far.bytes, near.opened[0]?.offset]).toEqual([40_000, 0]);
  });
});

describe('a configured source that lies', () => {
  test('at the end: the client has right bytes only, and another source gives the rest', async () => {
    const w = await scene();
    w.add(lan({ file: flipped(files.none, nar.length - 1), chunk: 1_000, pause: 1 }), 'none');
    const far = w.add(upstream(), 'xz');
    expectWhole(await w.run(w.get()));
    expect(far.opened).toHaveLength(1);
  });

  test('in the middle: the client is cut, its resume is told that the NAR is gone, and the next try succeeds', async () => {
    const w = await scene();
    w.add(lan({ file: flipped(files.none, 100_000), chunk: 1_000, pause: 10 }), 'none');
    const far = w.add(upstream(), 'xz');
    const got = await w.run(w.get());
    expect(got.how).toBe('cut');
    expect(got.bytes.length).toBeLessThan(nar.length);
    expect((await w.run(w.get({ from: got.bytes.length }))).how).toBe('unavailable');
    expectWhole(await w.run(w.get()));
    expect(far.opened).toHaveLength(1);
  });

  test('in a NAR that is held back: nobody notices', async () => {
    const w = await scene({ sample: small });
    w.add(lan({ file: flipped(small.files.none) }), 'none');
    w.add(upstream(), 'xz');
    expectWhole(await w.run(w.get()), small.nar);
  });

  test('is not asked again while another has the NAR, which nobody has been asked for yet', async () => {
    const w = await scene({ sample: small });
    const liar = w.add(lan({ openings: [{ file: flipped(small.files.xz) }] }), 'xz');
    const far = w.add(upstream(), 'xz', { hidden: true });
    expectWhole(await w.run(w.get()), small.nar);
    expect([liar.opened.length, far.opened.length]).toEqual([1, 1]);
  });

  test('once, as the only one: it gets one more chance', async () => {
    const w = await scene({ sample: small });
    const wrong = flipped(small.files.xz);
    const source = w.add(upstream({ openings: [{ file: wrong }] }), 'xz');
    expectWhole(await w.run(w.get()), small.nar);
    expect(source.opened).toHaveLength(2);

    const x = await scene({ sample: small });
    const liar = x.add(upstream({ file: wrong }), 'xz');
    expect((await x.run(x.get())).how).toBe('unavailable');
    expect(liar.opened).toHaveLength(2);
  });

  test('with less or more than the NAR: found out without reading on for ever', async () => {
    const w = await scene({ sample: small });
    const bomb = narSample('bomb', 3_000_000);
    const source = w.add(lan({ file: bomb.files.zstd, chunk: 100_000 }), 'zstd');
    w.add(lan({ id: 'short', file: small.files.xz.subarray(0, 20_000) }), 'xz');
    w.add(upstream(), 'gzip');
    expectWhole(await w.run(w.get()), small.nar);
    expect(source.bytes).toBeLessThanOrEqual(2 * bomb.files.zstd.length);
  });

  test('with nothing at all: it is not asked for ever', async () => {
    const w = await scene();
    const source = w.add(lan({ file: Buffer.alloc(0), tellsSize: false }), 'gzip');
    expect((await w.run(w.get())).how).toBe('unavailable');
    expect(source.opened).toHaveLength(2);
  });

  test('about what a true one gave before: clients wait for the truth, and keep what was right', async () => {
    const w = await scene();
    w.add(lan({ id: 'true', diesAfter: 60_000, chunk: 1_000, pause: 10 }), 'none');
    w.add(lan({ id: 'liar', file: flipped(files.none, 10_000) }), 'gzip', { compression: 'none' });
    w.add(upstream(), 'xz', { hidden: true });
    expectWhole(await w.run(w.get()));
  });
});

describe('what is on disk', () => {
  test('a partial file that is wrong after a power loss: nobody is blamed, and the NAR comes anew', async () => {
    const { cache, close } = await temporaryCache();
    onTestFinished(close);
    const w = await scene({ cache });
    await leavePartial(cache, 'upstream', flipped(files.xz, 500).subarray(0, 100_000));

    const far = w.add(upstream({ pause: 10 }), 'xz');
    expectWhole(await w.run(w.get()));
    expect(far.opened.at(-1)).toMatchObject({ offset: 0, bytes: files.xz.length });
    expect(w.known.offers).toHaveLength(1);
  });

  test('a partial file of a source that nobody trusts is verified first', async () => {
    const { cache, close } = await temporaryCache();
    onTestFinished(close);
    const w = await scene({ cache });
    await leavePartial(cache, 'http://somebody', flipped(files.xz, 500).subarray(0, 100_000));

    w.add(upstream({ pause: 10 }), 'xz');
    expectWhole(await w.run(w.get()));
  });

  test('a partial file that is whole needs no source any more', async () => {
    const { cache, close } = await temporaryCache();
    onTestFinished(close);
    const w = await scene({ cache });
    await leavePartial(cache, 'upstream', files.xz);

    const far = w.add(upstream(), 'xz');
    expectWhole(await w.run(w.get()));
    expect(far.bytes).toBe(0);
  });

  test('a stored NAR with a wrong bit is set aside, and clients get right bytes from a source', async () => {
    const { cache, close } = await temporaryCache();
    onTestFinished(close);
    const w = await scene({ cache, sample: small });
    const partial = await cache.partial(w.known.narHash);
    await partial?.begin({ sourceId: 'upstream', ...small.narinfo('none') });
    await partial?.append(flipped(small.nar));
    await partial?.commit(small.narinfo('none'), {
      hash: small.narinfo('none').narHash,
      size: small.nar.length,
    });
    await partial?.release();
    w.known.stored = small.narinfo('none');

    const far = w.add(upstream(), 'xz');
    expectWhole(await w.run(w.get()), small.nar);
    expect(far.bytes).toBe(small.files.xz.length);
    expect(cache.stats().quarantine.nars).toBe(1);
  });
});
