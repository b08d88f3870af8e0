import { Pins } from '../cache/pins.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import { NarrowcastError, quote } from '../nix/error.ts';

/**
 * Takes a pin away. What it held may be evicted from then on.
 * @throws NarrowcastError `no-such-pin`; CacheError `bad-pin` for a name that cannot be one
 */
export async function unpin(name: string, sources: ConfigSources): Promise<void> {
  const { cache, storeDir } = await loadConfig(sources);
  if (await new Pins(cache.dir, storeDir).unpin(name)) return;
  throw new NarrowcastError(
    'no-such-pin',
    `Nothing is pinned as ${quote(name)}: 'narrowcast pins' lists what is.`,
  );
}
