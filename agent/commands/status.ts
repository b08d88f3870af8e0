import { type ConfigSources, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { NarrowcastError } from '../nix/error.ts';
import { agentStats } from './agent-stats.ts';
import { statusLines } from './status/screen.ts';
import { type Line, rendered } from './terminal/lines.ts';
import { watch } from './terminal/watch.ts';
import { wrap } from './terminal/wrap.ts';

/** How to show it. */
export interface StatusOptions {
  /** As `GET /stats`. */
  readonly json?: boolean;
  /** Live, where stdout is a terminal. */
  readonly watch?: boolean;
}

const everyMs = 1_000;

/**
 * Prints how the running agent is: network, cache, where bytes came from, transfers, sources and peers.
 * @throws NarrowcastError `not-running` or `no-stats`, see agentStats
 */
export async function status({ json, watch: live }: StatusOptions, sources: ConfigSources): Promise<void> {
  const config = await loadConfig(sources);
  const stats = await agentStats(config);
  const { isTTY, columns = 80 } = process.stdout;
  if (json) process.stdout.write(`${JSON.stringify(stats, undefined, 2)}\n`);
  else if (live && isTTY) await watch(() => screen(config), everyMs);
  else {
    const lines = statusLines(stats, new Date(), columns);
    process.stdout.write(lines.map((line) => `${rendered(line)}\n`).join(''));
  }
}

/** An agent that is away may come back: that is waited for. */
async function screen(config: Config): Promise<(columns: number) => readonly Line[]> {
  try {
    const stats = await agentStats(config);
    return (columns) => statusLines(stats, new Date(), columns);
  } catch (error) {
    if (!(error instanceof NarrowcastError)) throw error;
    return (columns) => wrap(error.message, columns).map((line): Line => [['bad', line]]);
  }
}
