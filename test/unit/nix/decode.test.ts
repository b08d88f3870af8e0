import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Decodable } from '../../../agent/nix/compression.ts';
import { decode, decodeContent } from '../../../agent/nix/decode.ts';
import { FormatError } from '../../../agent/nix/error.ts';

const text = Buffer.concat([
  Buffer.from('nix-archive-1'.repeat(30_000)),
  randomBytes(300_000),
  Buffer.alloc(500_000),
]);

const encode: Record<Exclude<Decodable, 'none'>, (bytes: Buffer) => Buffer> = {
  xz: (bytes) => execFileSync('xz', ['-c'], { input: bytes, maxBuffer: 1 << 28 }),
  lzma: (bytes) => execFileSync('xz', ['-c', '--format=lzma'], { input: bytes, maxBuffer: 1 << 28 }),
  zstd: (bytes) => execFileSync('zstd', ['-qc'], { input: bytes, maxBuffer: 1 << 28 }),
  gzip: (bytes) => zlib.gzipSync(bytes),
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } }),
};
const names = ['xz', 'lzma', 'zstd', 'gzip', 'br'] as const;

async function* pieces(bytes: Uint8Array, size = 10_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function whole(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of stream) all.push(piece);
  return Buffer.concat(all);
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe.each(names)('%s', (name) => {
  const encoded = encode[name](text);

  it('is decoded to the bytes it was made of', async () => {
    expect(sha256(await whole(decode(name, pieces(encoded))))).toBe(sha256(text));
  });

  it('is refused when it ends too early', async () => {
    for (const length of [0, 1, 20, encoded.length - 1]) {
      await expect(whole(decode(name, pieces(encoded.subarray(0, length))))).rejects.toThrow(FormatError);
    }
  });

  it('is refused when it is something else', async () => {
    await expect(
      whole(decode(name, pieces(Buffer.from('<html>please log in</html>'.repeat(500))))),
    ).rejects.toThrow(FormatError);
  });

  it('passes the error of its input on', async () => {
    const cut = async function* () {
      yield encoded.subarray(0, 100);
      throw new RangeError('cable');
    };
    await expect(whole(decode(name, cut()))).rejects.toThrow(RangeError);
  });

  it('lets go of its input when the reader leaves', async () => {
    let left = false;
    const endless = async function* () {
      try {
        yield* pieces(encoded, 4_096);
        for (;;) {
          await setImmediate();
          yield Buffer.alloc(0);
        }
      } finally {
        left = true;
      }
    };
    for await (const _ of decode(name, endless())) break;
    expect(left).toBe(true);
  });
});

describe.each(['xz', 'zstd', 'gzip'] as const)('several %s parts in a row', (name) => {
  it('are one file, wherever the chunks end', async () => {
    const [a, b, c] = [text.subarray(0, 70_000), Buffer.from('tail'), text.subarray(350_000, 420_000)];
    const encoded = Buffer.concat([a, b, c].map((part) => encode[name](part)));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1_000, max: encoded.length }), async (size) => {
        expect(sha256(await whole(decode(name, pieces(encoded, size))))).toBe(
          sha256(Buffer.concat([a, b, c])),
        );
      }),
      { numRuns: 30 },
    );
  });
});

describe.each(['xz', 'zstd'] as const)('junk after %s', (name) => {
  it('is refused', async () => {
    const encoded = Buffer.concat([encode[name](text), Buffer.from('junk')]);
    await expect(whole(decode(name, pieces(encoded)))).rejects.toThrow(FormatError);
    await expect(whole(decode(name, pieces(encoded, encoded.length)))).rejects.toThrow(FormatError);
  });
});

describe.each(names)('a bomb of %s', (name) => {
  it('is decoded no further than it is read', async () => {
    const bomb = encode[name](Buffer.alloc(200_000_000));
    const before = process.memoryUsage().rss;
    for await (const _ of decode(name, pieces(bomb, 65_536))) break;
    expect(process.memoryUsage().rss - before).toBeLessThan(120_000_000);
  });
});

describe('a Content-Encoding', () => {
  it('is undone', async () => {
    for (const [encoding, bytes] of [
      ['identity', text],
      ['gzip', encode.gzip(text)],
      ['deflate', zlib.deflateSync(text)],
      ['zstd', encode.zstd(text)],
      ['br', encode.br(text)],
      ['xz', encode.xz(text)],
    ] as const) {
      expect(sha256(await whole(decodeContent(encoding, pieces(bytes)))), encoding).toBe(sha256(text));
    }
  });

  it('that nobody knows is refused', () => {
    expect(() => decodeContent('bzip2', pieces(text))).toThrow(FormatError);
  });
});
