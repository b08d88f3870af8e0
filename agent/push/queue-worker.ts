import { printStorePath, type StorePath } from '../nix/store-path.ts';
import { type Clock, delay, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { planPush } from './plan.ts';
import { type PushOptions, push } from './push.ts';
import type { Job, Queue } from './queue.ts';

export interface QueueWorkerOptions {
  readonly queue: Queue;
  /** The server's name in the queue. */
  readonly name: string;
  readonly push: Omit<PushOptions, 'signal'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** Jobs that are pushed as one. */
const mostAtOnce = 64;
const firstWait = 1_000;
const longestWait = 120_000;
/** How often a job is tried of which a path cannot be pushed for a reason of its own. */
const triesOfABadJob = 5;

/** Pushes a server's jobs as they come, and goes on trying for days while the server is away. */
export class QueueWorker {
  readonly #options: QueueWorkerOptions;
  readonly #clock: Clock;
  readonly #failures = new Map<string, number>();
  #news = Promise.withResolvers<void>();
  #atOnce = mostAtOnce;
  #wait = firstWait;

  constructor(options: QueueWorkerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** There may be new jobs. */
  wake(): void {
    this.#news.resolve();
  }

  /** Works until the signal is aborted. */
  async run(): Promise<void> {
    const { queue, name, log, signal } = this.#options;
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    while (!signal.aborted) {
      try {
        const jobs = await queue.next(name, this.#atOnce);
        if (jobs.length > 0) {
          await this.#take(jobs);
          continue;
        }
        await Promise.race([this.#news.promise, aborted]);
        this.#news = Promise.withResolvers();
      } catch (err) {
        if (signal.aborted) break;
        log.warn({ err, to: name, wait: this.#wait }, 'push put off');
        await delay(this.#clock, this.#wait, signal).catch(() => {});
        this.#wait = Math.min(2 * this.#wait, longestWait);
      }
    }
  }

  /** Pushes the jobs; those whose own fault it is that they fail are given up after some tries. */
  async #take(jobs: readonly Job[]): Promise<void> {
    const { queue, name, signal } = this.#options;
    try {
      const bad = await this.#push(jobs);
      for (const job of jobs) {
        if (job.paths.some(({ base }) => bad.has(base))) await this.#failed(job);
        else await this.#settled(job);
      }
      this.#atOnce = Math.min(2 * this.#atOnce, mostAtOnce);
      this.#wait = firstWait;
      if (bad.size > 0) await delay(this.#clock, firstWait, signal);
    } catch (error) {
      // One by one, so that a job for which all of them were refused holds up no other.
      if (this.#atOnce === 1 && !signal.aborted) for (const job of jobs) await queue.postpone(name, job.name);
      this.#atOnce = 1;
      throw error;
    }
  }

  /** Resolves to the paths that failed by themselves. */
  async #push(jobs: readonly Job[]): Promise<ReadonlySet<string>> {
    const { push: options, log, signal, name: to } = this.#options;
    const { store, server, signing } = options;
    const paths = jobs.flatMap((job) => job.paths);
    const gone = new Set((await store.invalid(paths, signal)).map(({ base }) => base));
    for (const path of gone) log.warn({ path, to }, 'not pushed: it is no longer in the store');
    const roots = paths.filter(({ base }) => !gone.has(base));
    const bad = new Set<string>();
    if (roots.length === 0) return bad;
    const plan = await planPush(roots, store, server, signal, this.#clock);
    const told = {
      reached() {},
      sent() {},
      pushed: ({ storePath: path }: { storePath: StorePath }, bytes: number) =>
        log.info({ path: printStorePath(path, signing.storeDir), bytes, to }, 'pushed'),
      failed({ storePath: path }: { storePath: StorePath }, why: string) {
        bad.add(path.base);
        log.error({ path: printStorePath(path, signing.storeDir), why, to }, 'not pushed');
      },
    };
    await push(plan, { ...options, signal, clock: this.#clock }, told);
    return bad;
  }

  async #settled({ name }: Job): Promise<void> {
    this.#failures.delete(name);
    await this.#options.queue.done(this.#options.name, name);
  }

  async #failed(job: Job): Promise<void> {
    const { queue, name, log } = this.#options;
    const failures = (this.#failures.get(job.name) ?? 0) + 1;
    this.#failures.set(job.name, failures);
    if (failures < triesOfABadJob) return await queue.postpone(name, job.name);
    log.error({ job: job.name, to: name }, 'job given up');
    await this.#settled(job);
  }
}
