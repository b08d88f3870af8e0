import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

const keptIn = join(import.meta.dirname, '../../../.cache/bench');

/**
 * The directory of that name, made on first use and kept for later runs until the scripts here change. It appears whole or not
 * at all.
 */
export async function kept(name: string, make: (directory: string) => Promise<void>): Promise<string> {
  const directory = join(keptIn, await digestOfScripts(), name);
  if (existsSync(directory)) return directory;
  const unfinished = `${directory}.${process.pid}`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  await make(unfinished);
  await rename(unfinished, directory);
  return directory;
}

async function digestOfScripts(): Promise<string> {
  const digest = createHash('sha256');
  for (const script of (await readdir(import.meta.dirname)).sort())
    digest.update(await readFile(join(import.meta.dirname, script)));
  return digest.digest('hex').slice(0, 16);
}
