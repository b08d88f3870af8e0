import { Pins } from '../cache/pins.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';

/** How to show the pins. */
export interface PinsOptions {
  /** As an array of names and store paths. */
  readonly json?: boolean;
}

/** Prints each pin on a line: its name, a tab, the store path. */
export async function pins({ json = false }: PinsOptions, sources: ConfigSources): Promise<void> {
  const { cache, storeDir } = await loadConfig(sources);
  const all = await new Pins(cache.dir, storeDir).list();
  const lines = all.map(({ name, path }) => `${name}\t${path}\n`);
  process.stdout.write(json ? `${JSON.stringify(all, undefined, 2)}\n` : lines.join(''));
}
