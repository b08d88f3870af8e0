import * as v from 'valibot';
import { lacksOnDisk } from '../cache/closure.ts';
import { Roots } from '../cache/roots.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { NarrowcastError, quote } from '../nix/error.ts';
import { UploadServer } from '../push/upload-server.ts';
import { credentialsFor } from './push/credentials.ts';
import { destination } from './push/wishes.ts';
import { storePathArgument } from './store-path-argument.ts';
import { table } from './terminal/table.ts';

/** Where the roots are: in this machine's cache directory, or at another machine. */
export interface RootPlace {
  readonly to?: string;
  readonly netrcFile?: string;
}

const never = new AbortController().signal;
const listSchema = v.record(v.string(), v.array(v.object({ time: v.string(), path: v.string() })));

type List = v.InferOutput<typeof listSchema>;

/**
 * Keeps a store path, with all that it refers to, under a name, in front of what the name stood for before. All of it must be there.
 * @throws UsageError for a path that is none; CacheError `bad-root`; NarrowcastError `not-there`; PushError when the other machine
 *   refuses or cannot be reached
 */
export async function setRoot(
  name: string,
  path: string,
  place: RootPlace,
  sources: ConfigSources,
): Promise<void> {
  const config = await loadConfig(sources);
  const { cache, storeDir, upload } = config;
  const { hashPart } = storePathArgument(path, storeDir);
  if (place.to !== undefined) return await at(place.to, place, config, (it) => it.setRoot(name, path, never));
  const lacking = await lacksOnDisk(cache.dir, storeDir, hashPart);
  if (lacking !== undefined)
    throw new NarrowcastError(
      'not-there',
      `Not all of ${path} is in ${cache.dir}: the path with the hash ${lacking} is not.`,
    );
  await new Roots(cache.dir, storeDir).set(name, path, upload.rootHistory);
}

/** Prints all roots and what they keep, the newest first. @throws as setRoot */
export async function listRoots(
  { json = false, ...place }: RootPlace & { readonly json?: boolean },
  sources: ConfigSources,
): Promise<void> {
  const config = await loadConfig(sources);
  const list = place.to === undefined ? await ownList(config) : await theirList(place.to, place, config);
  const rows = Object.entries(list).flatMap(([name, history]) =>
    history.map(({ time, path }, at) => [at === 0 ? name : '', time.slice(0, 16).replace('T', ' '), path]),
  );
  process.stdout.write(
    json ? `${JSON.stringify(list, undefined, 2)}\n` : table(['NAME', 'SET (UTC)', 'PATH'], rows),
  );
}

/** Lets go of a root. @throws NarrowcastError `no-such-root`, and as setRoot */
export async function removeRoot(name: string, place: RootPlace, sources: ConfigSources): Promise<void> {
  const config = await loadConfig(sources);
  const { cache, storeDir } = config;
  const removed =
    place.to === undefined
      ? await new Roots(cache.dir, storeDir).remove(name)
      : await at(place.to, place, config, (it) => it.removeRoot(name, never));
  if (removed) return;
  throw new NarrowcastError(
    'no-such-root',
    `There is no root ${quote(name)}: 'narrowcast root list' shows all.`,
  );
}

async function ownList({ cache, storeDir }: Config): Promise<List> {
  const roots = await new Roots(cache.dir, storeDir).list();
  const withTimes = roots.map(({ name, history }) => [
    name,
    history.map(({ time, path }) => ({ time: new Date(time).toISOString(), path })),
  ]);
  return Object.fromEntries(withTimes);
}

async function theirList(to: string, place: RootPlace, config: Config): Promise<List> {
  const text = await at(to, place, config, (it) => it.roots(never));
  try {
    return v.parse(listSchema, JSON.parse(text));
  } catch (cause) {
    throw new NarrowcastError('no-roots', `What answers at ${to} is no narrowcast that keeps roots.`, {
      cause,
    });
  }
}

async function at<T>(
  to: string,
  { netrcFile }: RootPlace,
  { netrcFile: configured, connectTimeout, stalledDownloadTimeout }: Config,
  ask: (server: UploadServer) => Promise<T>,
): Promise<T> {
  const url = destination(to);
  const credentials = await credentialsFor(url, netrcFile ?? configured);
  const stalledTimeout = stalledDownloadTimeout;
  const server = new UploadServer({ url, credentials, connectTimeout, stalledTimeout, connections: 1 });
  // An idle process would end before a slow answer came.
  const alive = setInterval(() => {}, 60_000);
  try {
    return await ask(server);
  } finally {
    clearInterval(alive);
    await server.close();
  }
}
