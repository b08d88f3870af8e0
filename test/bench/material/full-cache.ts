import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { printNarinfo } from '../../../agent/nix/narinfo.ts';
import { kept } from './kept.ts';
import { pathOf, SignedCache } from './signed-cache.ts';

/** A cache directory with so many paths, each with a NAR of some bytes; their signatures are none. Resolves to its place. */
export function fullCache(paths: number): Promise<string> {
  return kept(`full-${paths}`, async (directory) => {
    await SignedCache.create(directory);
    for (let n = 0; n < paths; n += 1) await add(directory, n);
  });
}

async function add(directory: string, n: number): Promise<void> {
  const nar = Buffer.from(`NAR ${n}`);
  const hash = { algorithm: 'sha256', digest: createHash('sha256').update(nar).digest() } as const;
  const url = `nar/${toBase32(hash.digest)}.nar`;
  const storePath = pathOf(`stored-${n}`);
  const narinfo = {
    storePath,
    url,
    compression: 'none',
    fileHash: hash,
    fileSize: nar.length,
    narHash: hash,
    narSize: nar.length,
    references: [1, 2, 3, 5, 8].filter((back) => back <= n).map((back) => pathOf(`stored-${n - back}`)),
    signatures: [{ keyName: 'narrowcast-bench-1', bytes: new Uint8Array(64) }],
    extra: [],
  } as const;
  await writeFile(join(directory, url), nar);
  await writeFile(join(directory, `${storePath.hashPart}.narinfo`), printNarinfo(narinfo, '/nix/store'));
}
