import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sameHash } from '../../../../agent/nix/hash.ts';
import { parseNarinfo } from '../../../../agent/nix/narinfo.ts';
import { sha256, storeDir } from './sample.ts';

/** Narinfos in the directory without their whole NAR, as anybody else who reads it would see them (I7). */
export async function danglingNarinfos(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.narinfo'));
  const whole = await Promise.all(names.map((name) => isWhole(dir, name)));
  return names.filter((_, n) => !whole[n]);
}

async function isWhole(dir: string, name: string): Promise<boolean> {
  try {
    const narinfo = parseNarinfo(await readFile(join(dir, name), 'utf8'), storeDir);
    const file = await readFile(join(dir, narinfo.url));
    return narinfo.fileHash !== undefined && sameHash(sha256(file), narinfo.fileHash);
  } catch {
    return false;
  }
}
