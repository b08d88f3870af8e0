import { access } from 'node:fs/promises';
import path from 'node:path';
import type { StorePath } from '../nix/store-path.ts';

/** Says whether this machine's own store has a path already. */
export function inStore(storeDir: string): (path: StorePath) => Promise<boolean> {
  return async ({ base }) => {
    try {
      await access(path.join(storeDir, base));
      return true;
    } catch {
      return false;
    }
  };
}
