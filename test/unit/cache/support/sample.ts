import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { NarCache, PartialMeta } from '../../../../agent/cache/nar-cache.ts';
import { toBase32 } from '../../../../agent/nix/base32.ts';
import type { Hash } from '../../../../agent/nix/hash.ts';
import { type NarHash, narHashOf } from '../../../../agent/nix/hash.ts';
import type { Narinfo } from '../../../../agent/nix/narinfo.ts';
import { parseStoreBase } from '../../../../agent/nix/store-path.ts';
import { narOfFile } from '../../../fixtures/nar.ts';

export const storeDir = '/nix/store';

/** A NAR as an upstream would have it. */
export interface Sample {
  readonly narinfo: Narinfo;
  readonly narHash: NarHash;
  /** The compressed file. */
  readonly file: Buffer;
  readonly fileHash: Hash;
  readonly meta: PartialMeta;
}

export interface SampleOptions {
  readonly contents?: Buffer;
  readonly name?: string;
  readonly compression?: 'none' | 'gzip' | 'zstd' | 'xz';
  readonly references?: readonly Pick<Sample, 'narinfo'>[];
  /** `<hash>-<name>.drv` */
  readonly deriver?: string;
}

/** A store path with one file in it, the same for the same options; without contents, 1,000 random bytes. */
export function sample(options: SampleOptions = {}): Sample {
  const {
    contents = randomBytes(1000),
    name = 'sample',
    compression = 'none',
    references = [],
    deriver,
  } = options;
  const nar = narOfFile(contents);
  const file = compressors[compression](nar);
  const narHash = sha256(nar);
  const fileHash = sha256(file);
  const url = `nar/upstream-${toBase32(fileHash.digest).slice(0, 8)}.nar`;
  return {
    narinfo: {
      storePath: parseStoreBase(
        `${toBase32(sha256(Buffer.concat([narHash.digest, Buffer.from(name)])).digest.subarray(0, 20))}-${name}`,
      ),
      url,
      compression,
      narHash,
      narSize: nar.length,
      references: references.map(({ narinfo }) => narinfo.storePath),
      ...(deriver !== undefined && { deriver }),
      signatures: [],
      extra: [],
    },
    narHash: narHashOf(narHash),
    file,
    fileHash,
    meta: { sourceId: 'http://upstream', url, compression, fileHash, fileSize: file.length },
  };
}

/** The same NAR, as another store path. */
export function twinOf(original: Sample): Sample {
  const storePath = parseStoreBase(`${toBase32(randomBytes(20))}-twin`);
  return { ...original, narinfo: { ...original.narinfo, storePath } };
}

/** Stores a sample as the relay does; false when the cache refused at some step. */
export async function store(
  cache: NarCache,
  { narinfo, narHash, file, fileHash, meta }: Sample,
): Promise<boolean> {
  const partial = await cache.partial(narHash);
  if (partial === undefined) return false;
  try {
    let stored = await partial.begin(meta);
    for (let at = 0; at < file.length; at += 700) {
      if (!(await partial.append(file.subarray(at, at + 700)))) stored = false;
    }
    return (await partial.commit(narinfo, { hash: fileHash, size: file.length })) && stored;
  } finally {
    await partial.release();
  }
}

/** The cache's files for a sample, as nix copy names them. */
export function pathsOf(dir: string, { narinfo, fileHash, meta }: Sample): { narinfo: string; nar: string } {
  return {
    narinfo: join(dir, `${narinfo.storePath.hashPart}.narinfo`),
    nar: join(dir, 'nar', `${toBase32(fileHash.digest)}.nar${extensions[meta.compression] ?? ''}`),
  };
}

const extensions: Readonly<Record<string, string>> = { gzip: '.gz', zstd: '.zst', xz: '.xz' };

/** What the cache serves for a sample's path, from narinfo to last byte; undefined when it has it not. */
export async function fetched(cache: NarCache, { narinfo }: Sample): Promise<Buffer | undefined> {
  const stored = await cache.narinfo(narinfo.storePath.hashPart);
  const file = stored && (await cache.open(stored));
  if (file === undefined) return undefined;
  try {
    return await collected(file.read(0));
  } finally {
    await file.close();
  }
}

export async function collected(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

export function sha256(bytes: Uint8Array): Hash {
  return { algorithm: 'sha256', digest: new Uint8Array(createHash('sha256').update(bytes).digest()) };
}

const compressors = {
  none: (bytes: Buffer) => bytes,
  gzip: gzipSync,
  zstd: zstdCompressSync,
  xz: (bytes: Buffer) => execFileSync('xz', ['-c'], { input: bytes }),
};
