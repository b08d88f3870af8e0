import zlib from 'node:zlib';
import type { Decodable } from './compression.ts';
import { decodeFrames } from './decode-frames.ts';
import { decodeLzma } from './decode-lzma.ts';
import { FormatError } from './error.ts';

/** The name of an HTTP Content-Encoding, in lower case. */
export type ContentEncoding = string;

type Bytes = AsyncIterable<Uint8Array>;

/** Output comes in pieces of up to this many bytes: each costs a round trip to the thread pool. */
const pieceSize = 256 * 1024;

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
