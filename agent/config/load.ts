import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheHome } from './cache-home.ts';
import { check } from './check.ts';
import { isTable, type Table } from './key.ts';
import { type Option, withOptions } from './options.ts';
import type { Config } from './schema.ts';
import { readToml } from './toml-file.ts';

/** Where the configuration comes from; what is left out is taken from the process. */
export interface ConfigSources {
  /** `--config FILE`. */
  readonly file?: string | undefined;
  /** `--option KEY VALUE`, in order. */
  readonly options?: readonly Option[];
  readonly env?: NodeJS.ProcessEnv;
  /** Whether the user is root, which changes the default of cache.dir. */
  readonly root?: boolean;
  /** Read when it exists and no other file is named. */
  readonly systemFile?: string;
}

const defaultFile = '/etc/narrowcast/config.toml';

/**
 * The configuration: options over the file (`--config`, else $NARROWCAST_CONFIG, else /etc/narrowcast/config.toml if it
 * exists) over the defaults.
 * @throws ConfigError with everything that is wrong
 */
export async function loadConfig(sources: ConfigSources = {}): Promise<Config> {
  const {
    options = [],
    env = process.env,
    root = process.getuid?.() === 0,
    systemFile = defaultFile,
  } = sources;
  const file =
    sources.file ?? (env['NARROWCAST_CONFIG'] || (existsSync(systemFile) ? systemFile : undefined));
  const document = file === undefined ? {} : await readToml(file);
  const given = withOptions(document, options);
  const fromOption = new Set(options.map(([key]) => key));
  return check(root ? given : withOwnCacheDir(given, env), (key) =>
    fromOption.has(key) ? '--option' : (file ?? 'default'),
  );
}

/** Users other than root keep their cache where the XDG base directory specification says. */
function withOwnCacheDir(document: Table, env: NodeJS.ProcessEnv): Table {
  const { cache = {} } = document;
  const dir = join(cacheHome(env), 'narrowcast');
  return isTable(cache) ? { ...document, cache: { dir, ...cache } } : document;
}
