import { access } from 'node:fs/promises';
import { request } from 'node:http';
import { json } from 'node:stream/consumers';
import * as v from 'valibot';
import { type PlannedRemoval, planCollection } from '../cache/collection-plan.ts';
import { DiskCache } from '../cache/disk-cache.ts';
import { CacheError } from '../cache/error.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { NarrowcastError } from '../nix/error.ts';
import { counted, readableBytes } from './terminal/amounts.ts';

/** What `gc` was asked for. */
export interface GcOptions {
  /** Only tell what would go, and why. */
  readonly dryRun?: boolean;
  /** With `dryRun`: as JSON. */
  readonly json?: boolean;
}

type Removed = v.InferOutput<typeof removedSchema>;

const removedSchema = v.object({ nars: v.number(), narinfos: v.number(), bytes: v.number() });
const day = 86_400_000;

/**
 * Removes from the cache directory what cache.max-age, cache.max-size and cache.min-free do not let stay: by the agent that runs, or
 * here where none does. Prints what went, or would go.
 * @throws NarrowcastError `no-cache` when there is no such directory; `gc-locked` when an agent has it that cannot be asked
 */
export async function gc({ dryRun = false, json = false }: GcOptions, sources: ConfigSources): Promise<void> {
  const config = await loadConfig(sources);
  await mustExist(config.cache.dir);
  if (dryRun) await printPlan(config, json);
  else printRemoved(await collect(config));
}

async function mustExist(dir: string): Promise<void> {
  try {
    await access(dir);
  } catch (cause) {
    const message = `The cache directory ${dir} is not there or not for us to read.`;
    throw new NarrowcastError('no-cache', message, { cause });
  }
}

async function printPlan({ cache, storeDir }: Config, asJson: boolean): Promise<void> {
  const plan = await planCollection({ ...cache, storeDir });
  if (asJson) return print(JSON.stringify(plan, undefined, 2));
  const now = Date.now();
  for (const removal of plan.goes) print(line(removal, now));
  const bytes = plan.goes.reduce((sum, removal) => sum + removal.bytes, 0);
  const { old, stays } = plan;
  print(
    `${counted(plan.goes.length, 'NAR')} would go, ${readableBytes(bytes)}; ${stays.nars} would stay, ${readableBytes(stays.bytes)}`,
  );
  if (old.pinned + old.needed > 0)
    print(
      `old, but they stay: ${old.pinned} for a pin or root, ${old.needed} because something that stays refers to them`,
    );
}

function line({ paths, file, bytes, lastUse, reason }: PlannedRemoval, now: number): string {
  const days = Math.max(0, Math.floor((now - lastUse) / day));
  const why = reason === 'age' ? 'older than cache.max-age' : 'to make room';
  const what = paths.length === 0 ? `nar/${file} (of no path)` : paths.join(', ');
  return `${what}: ${readableBytes(bytes)}, last used ${counted(days, 'day')} ago: ${why}`;
}

async function collect(config: Config): Promise<Removed> {
  try {
    const cache = await DiskCache.open({ ...config.cache, storeDir: config.storeDir });
    await cache.settled();
    const { evicted } = cache.stats();
    await cache.close();
    return evicted;
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'cache-locked') throw error;
    return await askAgent(config);
  }
}

/** Without a limit of time: a slow disk may have much to remove. */
async function askAgent({ listen: { host, port }, cache }: Config): Promise<Removed> {
  const url = `http://${host}:${port}`;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const asked = request(
    `${url}/gc`,
    { method: 'POST', headers: { 'x-narrowcast': 'gc' }, agent: false },
    (response) => json(response).then(resolve, reject),
  );
  asked.once('error', reject);
  asked.end();
  try {
    return v.parse(removedSchema, await promise);
  } catch (cause) {
    const message = `A narrowcast uses ${cache.dir}, and none that can collect answers at ${url}: name its address with --option listen HOST:PORT.`;
    throw new NarrowcastError('gc-locked', message, { cause });
  }
}

function printRemoved({ nars, narinfos, bytes }: Removed): void {
  print(`${counted(nars, 'NAR')} of ${counted(narinfos, 'path')} removed, ${readableBytes(bytes)}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
