import type { Transform } from 'node:stream';
import { FormatError } from './error.ts';
import { takeIn } from './take-in.ts';

/** 4 KiB of xz can hold 28 MB, and a slice is decoded whole before anyone can say stop. */
const sliceSize = 4 * 1024;
/** Room for what a usual slice holds; the decoder clears it anew for each slice. */
const roomForOutput = 64 * 1024;
/** A slice's 17 KB alone are not worth a reader's while: they are gathered up to this, as far as one chunk of input gives as much. */
const pieceSize = 256 * 1024;
/** Enough for `xz -9` (65 MiB). */
const memoryLimit = 100 * 1024 * 1024;

/**
 * Decodes `.xz` (streamDecoder) or `.lzma` (aloneDecoder).
 * @throws FormatError `undecodable`; the input's own errors come through unchanged
 */
export async function* decodeLzma(
  coder: 'streamDecoder' | 'aloneDecoder',
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const { default: lzma } = await import('lzma-native');
  const decoder = lzma.createStream(coder, { memlimit: memoryLimit, bufsize: roomForOutput });
  const output = new Output(decoder);
  try {
    for await (const chunk of input) {
      for (let at = 0; at < chunk.length; at += sliceSize) {
        await takeIn(decoder, chunk.subarray(at, at + sliceSize));
        if (output.size >= pieceSize) yield* output.take();
      }
      yield* output.take();
    }
    decoder.end();
    await output.ended;
    yield* output.take();
  } finally {
    decoder.destroy();
    decoder.cleanup();
  }
}

/** What a decoder has given and nobody has taken yet. */
class Output {
  /** Resolves when no more will come, for whatever reason. */
  readonly ended: Promise<void>;
  #pieces: Uint8Array[] = [];
  #size = 0;
  #failure: FormatError | undefined;

  constructor(decoder: Transform) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    decoder.once('end', resolve);
    decoder.once('close', resolve);
    decoder.once('error', (cause) => {
      this.#failure = new FormatError('undecodable', 'the bytes are not whole and valid xz', { cause });
      decoder.destroy();
    });
    decoder.on('data', (piece: Uint8Array) => {
      this.#pieces.push(piece);
      this.#size += piece.length;
    });
  }

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  /** Takes all there is: in one piece, unless it is so much that its reader will want to stop before the end. */
  take(): Uint8Array[] {
    if (this.#failure !== undefined) throw this.#failure;
    const pieces = this.#pieces;
    const size = this.#size;
    this.#pieces = [];
    this.#size = 0;
    return size === 0 || size > 4 * pieceSize ? pieces : [Buffer.concat(pieces, size)];
  }
}
