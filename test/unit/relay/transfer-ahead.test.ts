import { expect, onTestFinished, test } from 'vitest';
import { FaultyFiles } from '../cache/support/faulty-files.ts';
import { expectWhole, large, scene, small, upstream } from './support/scene.ts';
import { temporaryCache } from './support/world.ts';

/** A world with a disk of which every call is looked at. */
async function world(sample = small) {
  const disk = new FaultyFiles();
  const { cache, close } = await temporaryCache(disk);
  onTestFinished(close);
  const w = await scene({ cache, sample });
  const reads = { count: 0 };
  const isRead = ({ name, path }: { name: string; path: string }) =>
    name === 'read' && /\/(nar|partial)\//.test(path);
  disk.verdict = (call) => {
    if (isRead(call)) reads.count += 1;
    return undefined;
  };
  return { w, disk, reads };
}

test('a NAR that was fetched ahead is given from memory, and fetched once', async () => {
  const { w, reads } = await world();
  const source = w.add(upstream({ chunk: 1_000, pause: 10 }), 'xz');
  await w.run(w.transfers.fetchAhead(w.known));
  reads.count = 0;
  expectWhole(await w.run(w.get()), small.nar);
  expect(source.opened).toHaveLength(1);
  expect(reads.count).toBe(0);
  await w.settle();
  expect(w.known.stored).toBeDefined();
});

test('a client that comes while it is fetched ahead gets it from that', async () => {
  const { w } = await world();
  const source = w.add(upstream({ chunk: 1_000, pause: 100 }), 'xz');
  const ahead = w.transfers.fetchAhead(w.known);
  await w.run(w.time.sleep(500));
  expectWhole(await w.run(w.get()), small.nar);
  await w.run(ahead);
  expect(source.opened).toHaveLength(1);
});

test('after ten seconds it comes from the disk', async () => {
  const { w, reads } = await world();
  const source = w.add(upstream(), 'xz');
  await w.run(w.transfers.fetchAhead(w.known));
  await w.run(w.time.sleep(10_001));
  reads.count = 0;
  expectWhole(await w.run(w.get()), small.nar);
  expect(source.opened).toHaveLength(1);
  expect(reads.count).toBeGreaterThan(0);
});

test('nothing is fetched ahead without a disk', async () => {
  const w = await scene({ disk: false });
  const source = w.add(upstream(), 'xz');
  await w.run(w.transfers.fetchAhead(w.known));
  expect(source.opened).toEqual([]);
});

test('nor is what is too large to stay in memory', async () => {
  const { w } = await world(large);
  const source = w.add(upstream(), 'xz');
  await w.run(w.transfers.fetchAhead(w.known));
  expect(source.opened).toEqual([]);
});

test('what the disk does not take is fetched once all the same', async () => {
  const { w, disk } = await world();
  let writes = 0;
  disk.verdict = ({ name }) => (name === 'write' && ++writes > 5 ? 'ENOSPC' : undefined);
  const source = w.add(upstream({ chunk: 1_000, pause: 10 }), 'xz');
  await w.run(w.transfers.fetchAhead(w.known));
  expectWhole(await w.run(w.get()), small.nar);
  expect(source.bytes).toBe(small.files.xz.length);
});

test('who cannot be had is no error', async () => {
  const { w } = await world();
  w.add(upstream({ diesAfter: 0 }), 'xz');
  await w.run(w.transfers.fetchAhead(w.known));
  expect((await w.run(w.get())).how).not.toBe('complete');
});
