import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kept } from './kept.ts';
import { pathOf, publicKeyOf, SignedCache } from './signed-cache.ts';

/** A cache of narinfos without NARs, and lists of what may be asked of it, one URL path a line. */
export interface ManyNarinfos {
  readonly directory: string;
  readonly publicKey: string;
  /** Every narinfo that is there. */
  readonly presentList: string;
  /** As many that are not. */
  readonly absentList: string;
}

const count = 1_000;

/** 1,000 narinfos, each with up to five references to those before it. */
export async function manyNarinfos(): Promise<ManyNarinfos> {
  const directory = await kept('many-narinfos', make);
  const [presentList, absentList] = [join(directory, 'present'), join(directory, 'absent')];
  return { directory, publicKey: await publicKeyOf(directory), presentList, absentList };
}

async function make(directory: string): Promise<void> {
  const cache = await SignedCache.create(directory);
  for (let n = 0; n < count; n += 1) {
    const digest = createHash('sha256').update(`nar ${n}`).digest();
    await cache.add({
      storePath: present(n),
      url: `nar/${n}.nar.xz`,
      compression: 'xz',
      fileHash: { algorithm: 'sha256', digest },
      fileSize: 1_000 + n,
      narHash: { algorithm: 'sha256', digest },
      narSize: 4_000 + n,
      references: [1, 2, 3, 5, 8].filter((back) => back <= n).map((back) => present(n - back)),
      deriver: pathOf(`package-${n}-1.0.drv`).base,
    });
  }
  await writeFile(join(directory, 'present'), list(present));
  await writeFile(
    join(directory, 'absent'),
    list((n) => pathOf(`nobody-has-${n}`)),
  );
}

function present(n: number) {
  return pathOf(`package-${n}-1.0`);
}

function list(path: (n: number) => { hashPart: string }): string {
  return Array.from({ length: count }, (_, n) => `/${path(n).hashPart}.narinfo\n`).join('');
}
