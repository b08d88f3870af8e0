import { Pins } from '../cache/pins.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';

/** Prints each pin on a line: its name, a tab, the store path. */
export async function pins(sources: ConfigSources): Promise<void> {
  const { cache, storeDir } = await loadConfig(sources);
  const all = await new Pins(cache.dir, storeDir).list();
  process.stdout.write(all.map(({ name, path }) => `${name}\t${path}\n`).join(''));
}
