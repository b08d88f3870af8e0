import { mkdir, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inParallel } from '../../../../agent/cache/in-parallel.ts';
import { toBase32 } from '../../../../agent/nix/base32.ts';
import { printNarinfo } from '../../../../agent/nix/narinfo.ts';
import { parseStoreBase, type StorePath } from '../../../../agent/nix/store-path.ts';
import { sha256, storeDir } from './sample.ts';

/** A path of a made-up cache. */
export interface MadePath {
  readonly storePath: StorePath;
  /** Its name in `nar/`. */
  readonly file: string;
  /** Bytes of its NAR file. */
  readonly size: number;
  /** What it refers to, by its place in the list: each comes before it. */
  readonly references: readonly number[];
  /** Ms since the epoch. */
  readonly lastUse: number;
}

/** Numbers from 0 to 1 that are the same each time. */
export function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** So many paths, each with up to `most` references, last used some time within the last `span` ms before `now`. */
export function madePaths(count: number, most: number, now: number, span: number): MadePath[] {
  const next = sequence(count);
  return Array.from({ length: count }, (_, i) => {
    const digest = sha256(Buffer.from(`path ${i}`)).digest;
    const references = new Set<number>();
    // Near ones for the most part, as in a closure; the graph is deep and wide.
    for (let n = Math.floor(next() * (most + 1)); n > 0 && i > 0; n--)
      references.add(Math.max(0, i - 1 - Math.floor(next() ** 3 * Math.min(i, 400))));
    return {
      storePath: parseStoreBase(`${toBase32(digest.subarray(0, 20))}-path-${i}`),
      file: `${toBase32(sha256(Buffer.from(`file ${i}`)).digest)}.nar`,
      size: 1 + Math.floor(next() * 12_000),
      references: [...references],
      lastUse: Math.floor(now - next() * span),
    };
  });
}

/** Writes them as a binary cache in which nothing is right but the sizes; with `sparse`, each NAR has that many bytes of nothing. */
export async function writePaths(dir: string, paths: readonly MadePath[], sparse?: number): Promise<void> {
  await mkdir(join(dir, 'nar'), { recursive: true });
  const contents = Buffer.alloc(12_000);
  await inParallel(16, paths, new AbortController().signal, async (path) => {
    const { storePath, file, lastUse } = path;
    const size = sparse ?? path.size;
    const nar = join(dir, 'nar', file);
    await writeFile(nar, sparse === undefined ? contents.subarray(0, size) : '');
    if (sparse !== undefined) await truncate(nar, sparse);
    await utimes(nar, lastUse / 1000, lastUse / 1000);
    const hash = sha256(Buffer.from(file));
    const narinfo = {
      storePath,
      url: `nar/${file}`,
      compression: 'none' as const,
      narHash: hash,
      narSize: size,
      fileHash: sha256(contents.subarray(0, size)),
      fileSize: size,
      references: path.references.map((at) => paths[at]?.storePath ?? storePath),
      signatures: [],
      extra: [],
    };
    await writeFile(join(dir, `${storePath.hashPart}.narinfo`), printNarinfo(narinfo, storeDir));
  });
}
