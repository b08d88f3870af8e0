import { createHash } from 'node:crypto';
import { kept } from './kept.ts';
import { pathOf, publicKeyOf, SignedCache } from './signed-cache.ts';

/** A closure of narinfos whose NARs nobody has: to be asked for, not fetched. */
export interface NarinfoTree {
  readonly directory: string;
  readonly publicKey: string;
  /** The store path that has all others in its closure. */
  readonly top: string;
}

/** So many paths, each of which refers to three others. */
export async function narinfoTree(paths: number): Promise<NarinfoTree> {
  const directory = await kept(`tree-${paths}`, (unfinished) => make(unfinished, paths));
  return { directory, publicKey: await publicKeyOf(directory), top: `/nix/store/${nth(paths, 0).base}` };
}

async function make(directory: string, paths: number): Promise<void> {
  const cache = await SignedCache.create(directory);
  for (let n = 0; n < paths; n += 1) {
    const digest = createHash('sha256').update(`NAR ${n}`).digest();
    const children = [3 * n + 1, 3 * n + 2, 3 * n + 3].filter((child) => child < paths);
    await cache.add({
      storePath: nth(paths, n),
      url: `nar/${n}.nar.xz`,
      compression: 'xz',
      fileHash: { algorithm: 'sha256', digest },
      fileSize: 1_000,
      narHash: { algorithm: 'sha256', digest },
      narSize: 4_000,
      references: children.map((child) => nth(paths, child)),
    });
  }
}

function nth(paths: number, n: number) {
  return pathOf(`tree-of-${paths}-${n}`);
}
