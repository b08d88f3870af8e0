import type { Transform } from 'node:stream';
import type zlib from 'node:zlib';
import { FormatError } from './error.ts';
import { takeIn } from './take-in.ts';

/**
 * node:zlib ends after one zstd frame and passes over what follows in the same chunk, so each further frame gets a decoder of its own,
 * fed from the byte where the one before stopped.
 */
export async function* decodeFrames(
  name: string,
  input: AsyncIterable<Uint8Array>,
  create: () => Transform & zlib.Zlib,
): AsyncGenerator<Uint8Array> {
  const chunks = input[Symbol.asyncIterator]();
  let rest: Uint8Array | undefined;
  try {
    do {
      const decoder = create();
      yield* through(decoder, name, async () => {
        let fed = 0;
        for (;;) {
          const chunk = rest ?? (await next(chunks));
          rest = undefined;
          if (chunk === undefined) return;
          await takeIn(decoder, chunk);
          fed += chunk.length;
          const unread = fed - decoder.bytesWritten;
          if (unread > 0) {
            rest = chunk.subarray(chunk.length - unread);
            return;
          }
        }
      });
    } while (rest !== undefined);
  } finally {
    await chunks.return?.();
  }
}

/** Reads a decoder while `feed` writes to it; whichever fails first ends both. */
async function* through(
  decoder: Transform,
  name: string,
  feed: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let failure: unknown;
  const feeding = feed().then(
    () => decoder.end(),
    (error: unknown) => {
      failure ??= error;
      decoder.destroy();
    },
  );
  try {
    for await (const piece of decoder) yield piece;
  } catch (error) {
    failure ??= new FormatError('undecodable', `the bytes are not whole and valid ${name}`, { cause: error });
  } finally {
    decoder.destroy();
  }
  if (failure !== undefined) throw failure;
  await feeding;
}

async function next(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  const result = await chunks.next();
  return result.done ? undefined : result.value;
}
