import type { Transform } from 'node:stream';
import { constants, createZstdCompress } from 'node:zlib';
import { takeIn } from '../nix/take-in.ts';

/** How NARs are packed for the way. */
export interface Packing {
  readonly compression: (typeof packings)[number];
  /** zstd: 1 to 19; xz: 0 to 9; of no meaning for none. */
  readonly level: number;
}

/** The compressions that a push can make. */
export const packings = ['zstd', 'xz', 'none'] as const;

/** The levels that a compression has, and the one that is taken when none is named. */
export const levels: Readonly<
  Record<Packing['compression'], { readonly min: number; readonly max: number; readonly usual: number }>
> = {
  zstd: { min: 1, max: 19, usual: 3 },
  xz: { min: 0, max: 9, usual: 6 },
  none: { min: 0, max: 0, usual: 0 },
};

const chunkSize = 256 * 1024;

/** The bytes packed. Compression runs on libuv's threads. */
export async function* packed(
  { compression, level }: Packing,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (compression === 'none') return yield* bytes;
  if (compression === 'xz') {
    const { default: lzma } = await import('lzma-native');
    const encoder = lzma.createStream('easyEncoder', { preset: level, bufsize: chunkSize });
    try {
      return yield* through(encoder, bytes);
    } finally {
      encoder.cleanup();
    }
  }
  // With a checksum, as the zstd program writes it.
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
  yield* through(createZstdCompress({ params, chunkSize }), bytes);
}

/** Reads an encoder while it is fed; whichever fails first ends both. */
async function* through(encoder: Transform, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const feed = async () => {
    for await (const chunk of bytes) {
      if (encoder.destroyed) return;
      await takeIn(encoder, chunk);
    }
    encoder.end();
  };
  const feeding = feed().catch((error: unknown) => {
    encoder.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    yield* encoder;
  } finally {
    encoder.destroy();
    await feeding;
  }
}
