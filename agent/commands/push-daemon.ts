import { watch } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import { Queue } from '../push/queue.ts';
import { QueueWorker } from '../push/queue-worker.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { serviceManager } from '../telemetry/service-manager.ts';
import { openSession } from './push/session.ts';
import { destination, type PushWishes } from './push/wishes.ts';

/** What `push-daemon` was asked for. */
export interface PushDaemonWishes extends PushWishes {
  readonly queue: string;
  readonly to: readonly string[];
}

/** Beside watching, for file systems that do not tell what changes; in ms. */
const lookEvery = 30_000;
/** What is built now matters more than what was built. */
const niceness = 10;
const usualJobs = '2';

/**
 * Pushes what is in the queue, and what comes into it, to each server, until SIGINT or SIGTERM; a server that is away gets its jobs
 * when it is back.
 * @throws UsageError; NarrowcastError for a file of the options that cannot be read
 */
export async function pushDaemon(wishes: PushDaemonWishes, sources: ConfigSources): Promise<void> {
  const servers = new Map(wishes.to.map(destination).map((url) => [nameOf(url), url]));
  const config = await loadConfig(sources);
  const log = await createLogger(config.logLevel);
  const manager = serviceManager(log);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  // Nobody but root may go back to a higher one.
  if (getPriority() < niceness) setPriority(niceness);
  await using sessions = new AsyncDisposableStack();
  const names = [...servers.keys()];
  const queue = await Queue.open(wishes.queue, config.storeDir, names);
  const workers: QueueWorker[] = [];
  for (const [name, url] of servers) {
    const session = sessions.use(await openSession(url, { jobs: usualJobs, ...wishes }, config));
    workers.push(new QueueWorker({ queue, name, push: session.options, log, signal: stop.signal }));
  }
  const working = workers.map((worker) => worker.run());
  manager.ready(`Pushing from ${wishes.queue} to ${names.join(', ')}`);
  log.info({ queue: wishes.queue, to: names }, 'pushing');
  await handOut(queue, workers, log, stop.signal);
  manager.stopping();
  await Promise.all(working);
}

/** Hands out the jobs that come, until the signal. */
async function handOut(
  queue: Queue,
  workers: readonly QueueWorker[],
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  let news = Promise.withResolvers<void>();
  const wake = () => news.resolve();
  signal.addEventListener('abort', wake);
  const watcher = watch(queue.dir, wake);
  watcher.on('error', (err) => log.warn({ err }, 'queue not watched: looking every 30 s'));
  const timer = setInterval(wake, lookEvery);
  while (!signal.aborted) {
    try {
      const dropped = await queue.handOut();
      if (dropped > 0) log.error({ dropped }, 'queue full: jobs dropped');
      for (const worker of workers) worker.wake();
    } catch (err) {
      log.error({ err }, 'queue not readable');
    }
    await news.promise;
    news = Promise.withResolvers();
  }
  clearInterval(timer);
  watcher.close();
}

/** A server's name in the queue, fit for a directory. */
function nameOf({ host, pathname }: URL): string {
  return `${host}${pathname}`.replace(/[^0-9A-Za-z.-]+/g, '_').replace(/_$/, '');
}
