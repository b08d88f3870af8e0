import { type ConfigSources, loadConfig } from '../config/load.ts';
import { NarrowcastError } from '../nix/error.ts';
import type { StorePath } from '../nix/store-path.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { RelayClient } from './fetch/relay-client.ts';
import { someRelay } from './fetch/some-relay.ts';
import { Tally } from './fetch/tally.ts';
import { Warming } from './fetch/warming.ts';
import { storePathArgument } from './store-path-argument.ts';
import { counted, readableBytes } from './terminal/amounts.ts';
import { Display, endNeatly } from './terminal/display.ts';

/** What `fetch` was asked for beside the paths. */
export interface FetchOptions {
  /** Fetch what the paths refer to as well. */
  readonly closure?: boolean;
}

/**
 * Warms the cache: has the running agent, or one in this process where none runs, take the paths into the cache directory. What
 * is there already is not fetched; what an earlier run began is gone on with.
 * @throws UsageError for a path that is none; NarrowcastError `not-fetched` when a path is not in the cache at the end
 */
export async function fetch(
  paths: readonly string[],
  { closure = false }: FetchOptions,
  sources: ConfigSources,
): Promise<void> {
  const config = await loadConfig(sources);
  const wanted = paths.map((path) => storePathArgument(path, config.storeDir));
  const relay = await someRelay(config);
  try {
    await warm(relay.client, wanted, closure, config.storeDir);
  } finally {
    await relay.close();
  }
}

async function warm(
  client: RelayClient,
  wanted: readonly StorePath[],
  closure: boolean,
  storeDir: string,
): Promise<void> {
  const tally = new Tally(systemClock);
  const display = new Display(() => tally.line(warming.paths));
  const warming = new Warming(client, closure, systemClock, {
    found: (narinfo) => tally.found(narinfo),
    came: (bytes) => tally.came(bytes),
    kept(narinfo, fetched) {
      tally.kept(narinfo, fetched);
      if (fetched) display.step(`fetched ${narinfo.storePath.base} (${readableBytes(narinfo.narSize)})`);
    },
    failed({ path, why }) {
      tally.failed();
      display.complain(`not fetched: ${storeDir}/${path.base}: ${why}`);
    },
  });
  endNeatly(display);
  display.start();
  // Neither the clock's timers nor idle connections keep the process alive.
  const alive = setInterval(() => {}, 60_000);
  try {
    await warming.run(wanted);
  } finally {
    clearInterval(alive);
    display.end();
  }
  display.say(tally.summary());
  if (tally.failures > 0) {
    throw new NarrowcastError(
      'not-fetched',
      `${counted(tally.failures, 'path')} could not be fetched; see above.`,
    );
  }
}
