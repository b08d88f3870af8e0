import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { arrived } from '../../../agent/source/arrived.ts';

async function collect(body: Readable): Promise<{ bytes: number; error: unknown }> {
  let bytes = 0;
  try {
    for await (const chunk of arrived(body)) {
      bytes += chunk.length;
      // A reader that is slower than the sender.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { bytes, error: undefined };
  } catch (error) {
    return { bytes, error };
  }
}

test('I5: all that arrived before a cut comes before the error', async () => {
  const body = new PassThrough({ highWaterMark: 1024 * 1024 });
  const cut = new Error('cut');
  const chunks = arrived(body)[Symbol.asyncIterator]();
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  let bytes = 0;
  // The reader is busy with the first chunk while the others arrive, and the connection is cut.
  body.write(Buffer.alloc(1_000));
  bytes += (await chunks.next()).value?.length ?? 0;
  for (let n = 0; n < 40; n++) body.write(Buffer.alloc(1_000));
  await turn();
  body.destroy(cut);
  await turn();
  for (let n = 0; n < 40; n++) bytes += (await chunks.next()).value?.length ?? 0;
  expect(bytes).toBe(41_000);
  await expect(chunks.next()).rejects.toBe(cut);
});

test('a body that ends is whole, and one that closes before that is not', async () => {
  expect(await collect(Readable.from([Buffer.alloc(5), Buffer.alloc(6)]))).toEqual({
    bytes: 11,
    error: undefined,
  });
  const body = new PassThrough();
  const collected = collect(body);
  body.write(Buffer.alloc(7));
  await new Promise((resolve) => setImmediate(resolve));
  body.destroy();
  expect(await collected).toMatchObject({ bytes: 7, error: { message: 'closed before its end' } });
});

test('I8: nobody waits for a body that was over before it was read', async () => {
  const cut = new PassThrough();
  cut.on('error', () => {}).destroy(new Error('cut'));
  await new Promise((resolve) => cut.once('close', resolve));
  expect(await collect(cut)).toMatchObject({ bytes: 0, error: { message: 'cut' } });
  const closed = new PassThrough();
  closed.destroy();
  expect(await collect(closed)).toMatchObject({ bytes: 0, error: { message: 'closed before its end' } });
  const ended = Readable.from([]);
  await once(ended.resume(), 'end');
  expect(await collect(ended)).toEqual({ bytes: 0, error: undefined });
});

test('I8: a reader that waits makes the sender wait', async () => {
  const body = new PassThrough({ highWaterMark: 1_000 });
  const chunks = arrived(body)[Symbol.asyncIterator]();
  const first = chunks.next();
  let sent = 0;
  while (sent < 1_000 && body.write(Buffer.alloc(1_000))) sent++;
  await first;
  for (; sent < 1_000; sent++) {
    if (!body.write(Buffer.alloc(1_000))) await new Promise((resolve) => setImmediate(resolve));
    if (body.writableLength > 10_000) break;
  }
  expect(sent).toBeLessThan(300);
  await chunks.return?.(undefined);
  expect(body.destroyed).toBe(true);
});

test('a connection that is to be kept for an answer is kept, and what still comes can be passed over', async () => {
  const body = new PassThrough();
  body.write(Buffer.alloc(5));
  for await (const chunk of arrived(body, undefined, 'keep')) {
    expect(chunk.length).toBe(5);
    break;
  }
  expect(body.destroyed).toBe(false);
  body.resume();
  body.end(Buffer.alloc(1_000_000));
  await once(body, 'end');
});
