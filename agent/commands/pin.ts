import { Pins } from '../cache/pins.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import { storePathArgument } from './store-path-argument.ts';

/**
 * Pins a store path under a name, in place of what the name stood for: the path and all that it refers to stay in the cache. It need
 * not be there yet. An agent that runs looks at the pins each time before it removes anything.
 * @throws UsageError for a path that is none; CacheError `bad-pin` for a name that cannot be one
 */
export async function pin(name: string, path: string, sources: ConfigSources): Promise<void> {
  const { cache, storeDir } = await loadConfig(sources);
  storePathArgument(path, storeDir);
  await new Pins(cache.dir, storeDir).pin(name, path);
}
