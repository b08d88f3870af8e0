import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Compression, fileExtension } from '../../../agent/nix/compression.ts';
import type { Hash } from '../../../agent/nix/hash.ts';
import type { HashPart } from '../../../agent/nix/store-path.ts';
import { mustRun } from '../../e2e/harness/run-command.ts';
import { kept } from './kept.ts';
import { writeNar } from './nar-file.ts';
import { pathOf, publicKeyOf, SignedCache } from './signed-cache.ts';

/** One NAR in the cache. */
export interface StoredNar {
  readonly compression: Compression;
  readonly hashPart: HashPart;
  /** In the cache: `nar/…`. */
  readonly url: string;
  readonly file: string;
  /** Bytes of the file. */
  readonly fileSize: number;
  /** Bytes decoded. */
  readonly narSize: number;
  /** The command that decodes the file to stdout; undefined for `none`. */
  readonly decoder: readonly string[] | undefined;
}

/** A cache with a NAR of the same kind of content in each compression. */
export interface NarCacheMaterial {
  readonly directory: string;
  readonly publicKey: string;
  readonly nars: readonly StoredNar[];
}

/** As Nix compresses by default, only that brotli, which is too slow at Nix's level, has a lower one. */
const encoders = [
  { compression: 'none', encode: undefined, decode: undefined },
  { compression: 'xz', encode: ['xz', '-6', '-T1'], decode: ['xz', '-dc'] },
  { compression: 'zstd', encode: ['zstd', '-q', '-3', '--rm'], decode: ['zstd', '-qdc'] },
  { compression: 'gzip', encode: ['gzip', '-6'], decode: ['gzip', '-dc'] },
  { compression: 'br', encode: ['brotli', '-q', '6', '-w', '22', '--rm'], decode: ['brotli', '-dc'] },
] as const;

/** NARs of about `size` bytes. */
export async function narCache(size: number): Promise<NarCacheMaterial> {
  const directory = await kept(`nars-${size}`, (unfinished) => make(unfinished, size));
  const nars = encoders.map(async ({ compression, decode }) => {
    const url = urlOf(compression);
    const file = join(directory, url);
    const narSize = (await stat(join(directory, urlOf('none')))).size;
    return {
      compression,
      hashPart: pathFor(compression).hashPart,
      url,
      file,
      fileSize: (await stat(file)).size,
      narSize,
      decoder: decode && [...decode, file],
    };
  });
  return { directory, publicKey: await publicKeyOf(directory), nars: await Promise.all(nars) };
}

async function make(directory: string, size: number): Promise<void> {
  const cache = await SignedCache.create(directory);
  for (const { compression, encode } of encoders) {
    const nar = join(directory, 'nar', `${compression}.nar`);
    await writeNar(nar, size, compression);
    const narHash = await hashOf(nar);
    const narSize = (await stat(nar)).size;
    const url = urlOf(compression);
    if (encode !== undefined) await mustRun([...encode, nar], { timeoutMs: 1_200_000 });
    const file = join(directory, url);
    await cache.add({
      storePath: pathFor(compression),
      url,
      compression,
      fileHash: await hashOf(file),
      fileSize: (await stat(file)).size,
      narHash,
      narSize,
      references: [],
    });
  }
}

function urlOf(compression: Compression): string {
  return `nar/${compression}.nar${fileExtension(compression)}`;
}

function pathFor(compression: Compression) {
  return pathOf(`nar-in-${compression}`);
}

async function hashOf(file: string): Promise<Hash> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return { algorithm: 'sha256', digest: hash.digest() };
}
