import type { Transform } from 'node:stream';
import zlib from 'node:zlib';
import lzma from 'lzma-native';
import type { Decodable } from './compression.ts';
import { FormatError } from './error.ts';

/** The name of an HTTP Content-Encoding, in lower case. */
export type ContentEncoding = string;

type Bytes = AsyncIterable<Uint8Array>;

/** Output comes in pieces of up to this many bytes: each costs a round trip to the thread pool. */
const pieceSize = 256 * 1024;
/** 4 KiB of xz can hold 28 MB, and a slice is decoded whole before anyone can say stop. */
const lzmaSlice = 4 * 1024;
/** Enough for `xz -9` (65 MiB). */
const lzmaMemory = 100 * 1024 * 1024;

/**
 * Decodes a stream as it comes: reads `input` only as fast as the result is read. Several xz streams, zstd frames or gzip
 * members in a row are one file, as Nix reads them. The input's own errors come through unchanged; bytes that are not what they
 * should be, or that end too early, throw a FormatError with code `undecodable`.
 */
export function decode(compression: Decodable, input: Bytes): Bytes {
  switch (compression) {
    case 'none':
      return input;
    case 'xz':
      return decodeLzma('streamDecoder', input);
    case 'lzma':
      return decodeLzma('aloneDecoder', input);
    case 'zstd':
      return decodeFrames('zstd', input, () => zlib.createZstdDecompress({ chunkSize: pieceSize }));
    case 'gzip':
      return decodeFrames('gzip', input, () => zlib.createGunzip({ chunkSize: pieceSize }));
    case 'br':
      return decodeFrames('br', input, () => zlib.createBrotliDecompress({ chunkSize: pieceSize }));
  }
}

/** Undoes an HTTP Content-Encoding that a server applied though it was asked not to. */
export function decodeContent(encoding: ContentEncoding, input: Bytes): Bytes {
  switch (encoding) {
    case 'identity':
    case '':
      return input;
    case 'gzip':
    case 'x-gzip':
      return decode('gzip', input);
    case 'deflate':
      return decodeFrames('deflate', input, () => zlib.createInflate({ chunkSize: pieceSize }));
    case 'zstd':
    case 'br':
    case 'xz':
      return decode(encoding, input);
    default:
      throw new FormatError(
        'undecodable',
        `the Content-Encoding '${encoding}' is not one that can be undone`,
      );
  }
}

async function* decodeLzma(
  coder: 'streamDecoder' | 'aloneDecoder',
  input: Bytes,
): AsyncGenerator<Uint8Array> {
  const decoder = lzma.createStream(coder, { memlimit: lzmaMemory, bufsize: pieceSize });
  const chunks = input[Symbol.asyncIterator]();
  try {
    yield* through(decoder, 'xz', async () => {
      for (let chunk = await next(chunks); chunk !== undefined; chunk = await next(chunks)) {
        for (let at = 0; at < chunk.length; at += lzmaSlice)
          await write(decoder, chunk.subarray(at, at + lzmaSlice));
      }
    });
  } finally {
    decoder.cleanup();
    await chunks.return?.();
  }
}

/**
 * node:zlib ends after one zstd frame and passes over what follows in the same chunk, so each further frame gets a decoder of its own,
 * fed from the byte where the one before stopped.
 */
async function* decodeFrames(
  name: string,
  input: Bytes,
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
          await write(decoder, chunk);
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

/** Resolves once the decoder has taken the chunk in, or is gone. */
function write(decoder: Transform, chunk: Uint8Array): Promise<void> {
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

async function next(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  const result = await chunks.next();
  return result.done ? undefined : result.value;
}
