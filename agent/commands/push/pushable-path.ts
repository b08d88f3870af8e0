import { realpath } from 'node:fs/promises';
import type { StorePath } from '../../nix/store-path.ts';
import { storePathArgument } from '../store-path-argument.ts';

/**
 * What somebody typed as a path to push: a store path, a file in one, or a link to one, such as `./result`.
 * @throws UsageError when it is none
 */
export async function pushablePath(text: string, storeDir: string): Promise<StorePath> {
  const full = text.startsWith(`${storeDir}/`) ? text : await realpath(text).catch(() => text);
  if (!full.startsWith(`${storeDir}/`)) return storePathArgument(text, storeDir);
  const [base = ''] = full.slice(storeDir.length + 1).split('/', 1);
  return storePathArgument(`${storeDir}/${base}`, storeDir);
}
