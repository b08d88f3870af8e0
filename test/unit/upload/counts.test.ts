import { expect, test } from 'vitest';
import { emptyCounts } from '../../../agent/telemetry/counts.ts';
import { builderKey, foreignKey, otherKey, uploadScene } from './support/upload-scene.ts';
import { packed, Uploader } from './support/uploader.ts';

test('counts the paths and bytes that uploaders sent, in parts or again', async () => {
  const { builder, stranger, counters } = await uploadScene();
  const [path, other] = [packed([builderKey]), packed([otherKey])];
  await builder.push(path);
  const { length } = other.file;
  const part = { 'content-range': `bytes 0-99/${length}` };
  expect((await builder.putNar(other, { body: other.file.subarray(0, 100), headers: part })).status).toBe(
    200,
  );
  // Where to go on is not what was sent: that is an answer, no refusal.
  const wrong = { 'content-range': `bytes 50-${length - 1}/${length}` };
  expect((await builder.putNar(other, { body: other.file.subarray(50), headers: wrong })).status).toBe(409);
  await builder.push(other);
  await builder.push(other);
  await builder.send('PUT', `${path.narinfoPath.replace('.narinfo', '.ls')}`, { body: Buffer.from('{}') });
  await stranger.send('GET', path.narinfoPath);
  expect(counters.counts).toEqual({
    ...emptyCounts(),
    uploads: { ...emptyCounts().uploads, paths: 2, bytes: path.file.length + length + 2 },
  });
});

test('counts what was refused by its reason, and logs who sent what', async () => {
  const { builder, limited, stranger, port, counters, refusals } = await uploadScene({ maxSize: 1_000_000 });
  const untrusted = packed([foreignKey]);
  await stranger.putNar(untrusted);
  await new Uploader(port, 'builder:wrong').send('DELETE', '/roots/laptop');
  await builder.putNar(untrusted);
  await builder.putNarinfo(untrusted);
  await limited.putNarinfo(packed([builderKey]));
  await builder.putNarinfo(packed([builderKey]));
  await builder.putNarinfo(untrusted, { body: Buffer.from('no narinfo') });
  await builder.putNar(packed([builderKey], { contents: Buffer.alloc(2_000_000) }));
  await builder
    .putNar(packed([builderKey], { contents: Buffer.alloc(90_000) }), { cutAfter: 10 })
    .catch(() => {});
  const { bytes: _, ...others } = emptyCounts().uploads;
  const expected = { ...others, unauthorized: 2, untrusted: 2, invalid: 2, noRoom: 1, cut: 1 };
  await expect.poll(() => counters.counts.uploads, { timeout: 10_000 }).toMatchObject(expected);
  expect(refusals).toHaveLength(6);
  expect(refusals[0]).toEqual({
    uploader: 'builder',
    path: untrusted.narinfoPath,
    status: 403,
    reason: expect.stringContaining('is not signed by a key that is trusted here'),
  });
});
