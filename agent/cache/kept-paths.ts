import type { Files } from './files.ts';
import { Pins } from './pins.ts';
import { Roots } from './roots.ts';

/** The full store paths that pins and roots keep in a cache directory now. Rejects with the system's errors. */
export async function keptPaths(dir: string, storeDir: string, files: Files): Promise<string[]> {
  const pins = await new Pins(dir, storeDir, files).list();
  const roots = await new Roots(dir, storeDir, files).list();
  return [...pins, ...roots.flatMap(({ history }) => history)].map(({ path }) => path);
}
