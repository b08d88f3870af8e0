import type { Transform } from 'node:stream';
import { FormatError } from './error.ts';
import { takeIn } from './take-in.ts';

/** 4 KiB of xz can hold 28 MB, and a slice is decoded whole before anyone can say stop. */
const sliceSize = 4 * 1024;
/** Room for what a usual slice holds; the decoder clears it anew for each slice. */
const roomForOutput = 64 * 1024;
/** A slice's 17 KB alone are not worth a reader's while: they are gathered up to this, as far as one chunk of input gives as much. */
const pieceSize = 256 * 1024;
/** The decoder goes on while its reader is busy, until this much waits. */
const mostWaiting = 2 * pieceSize;
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
  const chunks = input[Symbol.asyncIterator]();
  void feed(decoder, chunks, output);
  try {
    for (let pieces = await output.next(); pieces !== undefined; pieces = await output.next()) yield* pieces;
  } finally {
    decoder.destroy();
    decoder.cleanup();
    await chunks.return?.();
  }
}

/** Writes the input to the decoder, no faster than its output is read. */
async function feed(decoder: Transform, chunks: AsyncIterator<Uint8Array>, output: Output): Promise<void> {
  try {
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
      for (let at = 0; at < next.value.length; at += sliceSize) {
        await takeIn(decoder, next.value.subarray(at, at + sliceSize));
        await output.room();
        if (decoder.destroyed) return;
      }
      output.giveAll();
    }
    decoder.end();
  } catch (error) {
    output.fail(error);
  }
}

/** What a decoder has given and nobody has taken yet. */
class Output {
  #pieces: Uint8Array[] = [];
  #size = 0;
  /** So much at the least is worth the reader's while. */
  #worth = pieceSize;
  #ended = false;
  #failure: unknown;
  #moved = Promise.withResolvers<void>();

  constructor(decoder: Transform) {
    const end = () => {
      this.#ended = true;
      this.#notice();
    };
    decoder.once('end', end);
    decoder.once('close', end);
    decoder.once('error', (cause) => {
      this.fail(new FormatError('undecodable', 'the bytes are not whole and valid xz', { cause }));
      decoder.destroy();
    });
    decoder.on('data', (piece: Uint8Array) => {
      this.#pieces.push(piece);
      this.#size += piece.length;
      if (this.#size >= this.#worth) this.#notice();
    });
  }

  /** What there is, once it is worth it, in one piece, unless it is so much that its reader will want to stop before the end; undefined at the end. */
  async next(): Promise<Uint8Array[] | undefined> {
    for (;;) {
      if (this.#size > 0 && (this.#size >= this.#worth || this.#ended)) return this.#take();
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return undefined;
      await this.#moved.promise;
    }
  }

  /** Resolves when so little waits that more may come. */
  async room(): Promise<void> {
    while (this.#size > mostWaiting && !this.#ended) await this.#moved.promise;
  }

  /** Nothing more may come for long: what there is must not wait for it. */
  giveAll(): void {
    this.#worth = 1;
    this.#notice();
  }

  /** The reader gets what there is, and then the error. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#ended = true;
    this.#notice();
  }

  #take(): Uint8Array[] {
    const pieces = this.#pieces;
    const size = this.#size;
    this.#pieces = [];
    this.#size = 0;
    this.#worth = pieceSize;
    this.#notice();
    return size > 4 * pieceSize ? pieces : [Buffer.concat(pieces, size)];
  }

  #notice(): void {
    const { resolve } = this.#moved;
    this.#moved = Promise.withResolvers<void>();
    resolve();
  }
}
