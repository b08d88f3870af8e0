import { execFileSync } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { toBase32 } from '../../../../agent/nix/base32.ts';
import { type Hash, type NarHash, narHashOf } from '../../../../agent/nix/hash.ts';
import type { Narinfo } from '../../../../agent/nix/narinfo.ts';
import { parseStoreBase } from '../../../../agent/nix/store-path.ts';

export const storeDir = '/nix/store';

export const representations = ['none', 'zstd', 'xz', 'gzip'] as const;
export type Representation = (typeof representations)[number];

/** A NAR and the files that may hold it. To the relay any bytes are a NAR as long as their hash is right. */
export interface NarSample {
  readonly nar: Buffer;
  readonly narHash: NarHash;
  readonly files: Readonly<Record<Representation, Buffer>>;
  /** As a source describes it that has that file. */
  narinfo(representation: Representation): Narinfo;
}

/** Bytes of that size, the same for the same seed: noise and zeros in turn. */
export function narSample(seed: string, size: number): NarSample {
  const key = createHash('sha256').update(seed).digest();
  const noise = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const nar = Buffer.alloc(size);
  for (let at = 0; at < size; at += 2_048) {
    const block = nar.subarray(at, Math.min(at + 1_024, size));
    block.set(noise.update(Buffer.alloc(block.length)));
  }
  const files = {
    none: nar,
    zstd: zstdCompressSync(nar),
    xz: execFileSync('xz', ['-0', '-c'], { input: nar, maxBuffer: 2 * size + 1_024 }),
    gzip: gzipSync(nar),
  };
  const storePath = parseStoreBase(`${toBase32(key.subarray(0, 20))}-${seed}`);
  return {
    nar,
    files,
    narHash: narHashOf(sha256(nar)),
    narinfo: (representation) => ({
      storePath,
      url: `nar/${seed}.nar.${representation}`,
      compression: representation,
      fileHash: sha256(files[representation]),
      fileSize: files[representation].length,
      narHash: sha256(nar),
      narSize: nar.length,
      references: [],
      signatures: [],
      extra: [],
    }),
  };
}

export function sha256(bytes: Uint8Array): Hash {
  return { algorithm: 'sha256', digest: new Uint8Array(createHash('sha256').update(bytes).digest()) };
}
