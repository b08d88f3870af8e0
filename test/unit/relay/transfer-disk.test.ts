import { describe, expect, onTestFinished, test } from 'vitest';
import { FaultyFiles } from '../cache/support/faulty-files.ts';
import { narSample } from './support/nar-sample.ts';
import { expectWhole, flipped, lan, large, peer, scene, small, upstream } from './support/scene.ts';
import { VirtualTime } from './support/virtual-time.ts';
import { temporaryCache } from './support/world.ts';

const { files } = large;

describe('a disk that takes nothing more', () => {
  test.for(['open-create', 'write', 'sync', 'rename'])('at %s, the client does not notice', async (call) => {
    const disk = new FaultyFiles();
    const { cache, close } = await temporaryCache(disk);
    onTestFinished(close);
    const w = await scene({ cache });
    let calls = 0;
    disk.verdict = ({ name, path }) => {
      const ours = name === call && path.includes('/partial/');
      if (ours) calls += 1;
      return ours && calls > (call === 'write' ? 5 : 0) ? 'ENOSPC' : undefined;
    };
    const source = w.add(upstream({ chunk: 1_000, pause: 10 }), 'xz');
    expectWhole(await w.run(w.get()));
    expect(source.bytes).toBe(files.xz.length);
    await w.settle();
    expect(w.known.stored).toBeUndefined();
    expect(calls).toBeGreaterThan(0);
  });

  test('what was written before is used by the next transfer', async () => {
    const disk = new FaultyFiles();
    const time = new VirtualTime();
    const { cache, close } = await temporaryCache(disk, time);
    onTestFinished(close);
    const w = await scene({ cache, time });
    let writes = 0;
    disk.verdict = ({ name }) => (name === 'write' && ++writes > 60 ? 'ENOSPC' : undefined);
    const source = w.add(upstream({ chunk: 1_000, pause: 10, diesAfter: 100_000 }), 'xz');
    const got = await w.run(w.get());
    expect(got.how).toBe('cut');
    await w.settle();

    disk.verdict = () => undefined;
    await w.run(w.time.sleep(60_000));
    w.add(upstream({ id: 'another' }), 'xz');
    const rest = await w.run(w.get({ from: got.bytes.length }));
    expect(rest.how).toBe('complete');
    expect(Buffer.concat([got.bytes, rest.bytes]).equals(large.nar)).toBe(true);
    expect(w.sources.get('another')?.opened[0]?.offset).toBeGreaterThan(50_000);
    expect(source.bytes).toBe(100_000);
  });

  test('in the middle of a peer that must be verified first: an upstream gives the NAR', async () => {
    const disk = new FaultyFiles();
    const { cache, close } = await temporaryCache(disk);
    onTestFinished(close);
    const w = await scene({ cache });
    let writes = 0;
    disk.verdict = ({ name }) => (name === 'write' && ++writes > 60 ? 'ENOSPC' : undefined);
    w.add(peer({ chunk: 1_000, pause: 10 }), 'xz');
    const far = w.add(upstream(), 'xz', { hidden: true });
    expectWhole(await w.run(w.get()));
    expect(far.opened).toHaveLength(1);
  });
});

describe('a disk that cannot be read', () => {
  test('the stored NAR comes from a source instead', async () => {
    const disk = new FaultyFiles();
    const { cache, close } = await temporaryCache(disk);
    onTestFinished(close);
    const w = await scene({ cache });
    w.add(lan(), 'zstd');
    expectWhole(await w.run(w.get()));
    await w.settle();

    disk.verdict = ({ name, path }) => (name === 'read' && path.includes('/nar/') ? 'EIO' : undefined);
    const far = w.add(lan({ id: 'far' }), 'zstd');
    expectWhole(await w.run(w.get()));
    expect((w.sources.get('lan')?.bytes ?? 0) + far.bytes).toBe(2 * files.zstd.length);
  });
});

describe('a disk that takes bytes and gives none back', () => {
  test('costs the bytes that it took, once, and nothing is stored', async () => {
    const disk = new FaultyFiles();
    const { cache, close } = await temporaryCache(disk);
    onTestFinished(close);
    const w = await scene({ cache });
    let reads = 0;
    disk.verdict = ({ name, path }) =>
      name === 'read' && path.includes('/partial/') && ++reads > 20 ? 'EIO' : undefined;
    const source = w.add(upstream({ chunk: 1_000, pause: 10 }), 'xz');
    expectWhole(await w.run(w.get()));
    expect(reads).toBe(21);
    expect(source.opened).toHaveLength(2);
    expect(w.known.stored).toBeUndefined();
  });
});

describe('without a disk', () => {
  test('clients that keep up share one request', async () => {
    const w = await scene({ disk: false });
    const source = w.add(upstream({ pause: 10 }), 'xz');
    for (const got of await w.run(Promise.all([w.get(), w.get({ pause: 1 }), w.get()]))) expectWhole(got);
    expect(source.bytes).toBe(files.xz.length);
  });

  test('one that falls behind is cut, and served by a transfer of its own when it comes back', async () => {
    const w = await scene({ disk: false });
    const source = w.add(upstream({ chunk: 1_000, pause: 10 }), 'xz');
    const slowly = async () => {
      const got = await w.get({ pause: 500 });
      const rest = await w.get({ from: got.bytes.length });
      return { how: [got.how, rest.how], bytes: Buffer.concat([got.bytes, rest.bytes]) };
    };
    const [quick, slow] = await w.run(Promise.all([w.get(), slowly()]));
    expectWhole(quick);
    expect(slow.how).toEqual(['cut', 'complete']);
    expect(slow.bytes.equals(large.nar)).toBe(true);
    expect(source.opened).toHaveLength(2);
  });

  test('one that comes back after a cut gets the rest, and nothing that differs from what it has', async () => {
    const w = await scene({ disk: false });
    let up = true;
    w.add(upstream({ chunk: 1_000, pause: 10, up: () => up }), 'xz');
    const client = w.get();
    await w.run(w.time.sleep(1_000));
    up = false;
    const got = await w.run(client);
    expect(got.how).toBe('cut');
    expect(got.bytes.length).toBeGreaterThan(0);
    up = true;
    await w.run(w.time.sleep(100_000));
    const rest = await w.run(w.get({ from: got.bytes.length }));
    expect(rest.how).toBe('complete');
    expect(Buffer.concat([got.bytes, rest.bytes]).equals(large.nar)).toBe(true);
  });

  test('one that has wrong bytes is told that the NAR is gone', async () => {
    const w = await scene({ disk: false });
    w.add(lan({ file: flipped(files.none, 100_000), chunk: 1_000, pause: 10 }), 'none');
    const got = await w.run(w.get());
    expect(got.how).toBe('cut');
    w.add(upstream(), 'xz');
    expect((await w.run(w.get({ from: got.bytes.length }))).how).toBe('unavailable');
    expectWhole(await w.run(w.get()));
  });

  test('one whose bytes a second source disputes is cut when the NAR is too large to wait for it in memory', async () => {
    const w = await scene({ disk: false });
    w.add(
      lan({ file: flipped(files.none, 5_000), openings: [{ cutAfter: 20_000 }, { refuse: 'gone' }] }),
      'none',
    );
    w.add(upstream(), 'xz');
    const got = await w.run(w.get());
    expect(got.how).toBe('cut');
    expect(got.bytes.length).toBeGreaterThan(5_000);
    expect((await w.run(w.get({ from: got.bytes.length }))).how).toBe('unavailable');
  });

  test('small NARs are held back as far as memory for that goes, then given out as they come', async () => {
    const samples = Array.from({ length: 16 }, (_, n) => narSample(`small-${n}`, 60_000));
    const w = await scene({ disk: false, sample: small });
    const all = samples.map((sample) =>
      w.alike(sample, upstream({ id: `of-${sample.narHash}`, chunk: 1_000, pause: 10 })),
    );
    const got = await w.run(Promise.all(all.map(({ known }) => w.get({ known }))));
    const held = got.filter(({ first }, n) => first >= (all[n]?.source.lastByteAt ?? 0)).length;
    expect(got.every(({ how }) => how === 'complete')).toBe(true);
    expect(held).toBe(8);
  });
});

describe('on a link so slow that holding back would look like silence', () => {
  test('a configured source gives a small NAR as it comes, after 20 s', async () => {
    const w = await scene({ sample: small });
    const source = w.add(upstream({ chunk: 100, pause: 1_000 }), 'xz');
    const got = await w.run(w.get());
    expectWhole(got, small.nar);
    expect(got.first).toBeGreaterThanOrEqual(20_000);
    expect(got.first).toBeLessThan(25_000);
    expect(source.lastByteAt).toBeGreaterThan(100_000);
  });
});
