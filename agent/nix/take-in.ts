import type { Transform } from 'node:stream';

/** Writes a chunk to a decoder; resolves once the decoder has taken it in, or is gone. */
export function takeIn(decoder: Transform, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (decoder.destroyed) return resolve();
    const done = () => {
      decoder.off('close', done);
      resolve();
    };
    decoder.once('close', done);
    decoder.write(chunk, done);
  });
}
