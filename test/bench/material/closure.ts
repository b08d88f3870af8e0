import { createHash } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toBase32 } from '../../../agent/nix/base32.ts';
import type { Hash } from '../../../agent/nix/hash.ts';
import { mustRun } from '../../e2e/harness/run-command.ts';
import { narOfFile } from '../../fixtures/nar.ts';
import { kept } from './kept.ts';
import { writeNar } from './nar-file.ts';
import { pathOf, publicKeyOf, SignedCache } from './signed-cache.ts';

/** A closure that real Nix can substitute, in a signed cache. */
export interface ClosureMaterial {
  readonly directory: string;
  readonly publicKey: string;
  /** The store path that has all others in its closure. */
  readonly top: string;
  readonly paths: number;
  /** Of the NAR files, in bytes. */
  readonly fileBytes: number;
}

/** Each path refers to so many others: 300 paths are six levels deep. */
const references = 3;
const smallest = 2_000;
const mixtureBytes = 64_000_000;

/**
 * So many paths of up to `largest` bytes, of sizes as in a system's closure: most are small, and the few large ones make up most of the
 * bytes. Compressed by `xz -6`.
 */
export async function closureOf(paths: number, largest = 4_000_000): Promise<ClosureMaterial> {
  const directory = await kept(`closure-${paths}-${largest}`, (unfinished) =>
    make(unfinished, paths, largest),
  );
  return {
    directory,
    publicKey: await publicKeyOf(directory),
    paths,
    top: `/nix/store/${nth(paths, 0).base}`,
    fileBytes: Number(await readFile(join(directory, 'file-bytes'), 'utf8')),
  };
}

async function make(directory: string, paths: number, largest: number): Promise<void> {
  const cache = await SignedCache.create(directory);
  const unfinished = join(directory, 'unfinished');
  await writeNar(unfinished, mixtureBytes, 'closure');
  const mixture = await readFile(unfinished);
  let fileBytes = 0;
  for (let n = 0; n < paths; n += 1)
    fileBytes += await add(cache, directory, mixture, paths, n, sizeOf(n, largest));
  await rm(unfinished);
  await writeFile(join(directory, 'file-bytes'), String(fileBytes));
}

/** Each path holds another stretch of the mixture. */
async function add(
  cache: SignedCache,
  directory: string,
  mixture: Buffer,
  paths: number,
  n: number,
  size: number,
): Promise<number> {
  const start = Math.floor(((n * 0.7548) % 1) * (mixture.length - size));
  const nar = narOfFile(Buffer.concat([Buffer.from(`path ${n}`), mixture.subarray(start, start + size)]));
  const file = join(directory, 'nar', `${n}`);
  await writeFile(file, nar);
  await mustRun(['xz', '-6', '-T1', file]);
  const packed = await readFile(`${file}.xz`);
  const [narHash, fileHash] = [sha256(nar), sha256(packed)];
  const [narSize, fileSize] = [nar.length, packed.length];
  const url = `nar/${toBase32(fileHash.digest)}.nar.xz`;
  await rename(`${file}.xz`, join(directory, url));
  const children = Array.from({ length: references }, (_, child) => references * n + child + 1);
  await cache.add({
    storePath: nth(paths, n),
    url,
    compression: 'xz',
    fileHash,
    fileSize,
    narHash,
    narSize,
    references: children.filter((child) => child < paths).map((child) => nth(paths, child)),
  });
  return fileSize;
}

/** Spread evenly over the orders of magnitude; the top is a small one. */
function sizeOf(n: number, largest: number): number {
  return Math.round(smallest * (largest / smallest) ** ((n * 0.618) % 1));
}

function nth(paths: number, n: number) {
  return pathOf(`closure-of-${paths}-${n}`);
}

function sha256(bytes: Buffer): Hash {
  return { algorithm: 'sha256', digest: createHash('sha256').update(bytes).digest() };
}
