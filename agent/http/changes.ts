import type { Counters, Dated, Finished, Listener, Rejected, TransferResult } from '../telemetry/counters.ts';
import type { StatsEvent } from './event-schema.ts';
import type { Report } from './report.ts';

/** Of each kind that comes as it happens, between two ticks; the counters have the others. */
const maxAtOnce = 25;
const ticksPerSecond = 4;

/** Sees what changes, as events in JSON. Watches only between `begin` and `end`; meanwhile `take` is called four times a second. */
export class Changes implements Listener {
  readonly #report: Report;
  readonly #counters: Counters;
  #news: StatsEvent[] = [];
  #requests = 0;
  #rejections = 0;
  #ticks = 0;
  /** What was told last of each thing. */
  readonly #told = new Map<string, string>();

  constructor(report: Report, counters: Counters) {
    this.#report = report;
    this.#counters = counters;
  }

  begin(): void {
    this.#counters.listener = this;
    this.#transfers();
    this.#states();
    this.#news = [];
  }

  end(): void {
    this.#counters.listener = undefined;
    this.#told.clear();
    this.#news = [];
  }

  /** What is new since the last time. */
  take(): StatsEvent[] {
    this.#ticks += 1;
    if (this.#ticks % (ticksPerSecond / 2) === 0) this.#transfers();
    if (this.#ticks % ticksPerSecond === 0) this.#states();
    const news = this.#news;
    this.#news = [];
    this.#requests = 0;
    this.#rejections = 0;
    return news;
  }

  request(finished: Finished & Dated): void {
    if (this.#requests >= maxAtOnce) return;
    this.#requests += 1;
    this.#news.push({ type: 'request', request: this.#report.ofRequest(finished) });
  }

  rejection(rejected: Rejected & Dated): void {
    if (this.#rejections >= maxAtOnce) return;
    this.#rejections += 1;
    this.#news.push({ type: 'rejection', rejection: this.#report.ofRejection(rejected) });
  }

  ended(path: string, result: TransferResult): void {
    const storePath = this.#report.inFull(path);
    this.#told.delete(`transfer ${storePath}`);
    this.#news.push({ type: 'transfer-end', storePath, result });
  }

  #transfers(): void {
    for (const transfer of this.#report.transfers)
      this.#tell(`transfer ${transfer.storePath}`, { type: 'transfer', transfer });
  }

  #states(): void {
    const { sources, peers, network, cache } = this.#report;
    for (const source of sources) this.#tell(`source ${source.id}`, { type: 'source', source });
    this.#forget('source ', new Set(sources.map(({ id }) => id)), (id) => ({ type: 'source-gone', id }));
    for (const peer of peers) this.#tell(`peer ${peer.url}`, { type: 'peer', peer });
    this.#forget('peer ', new Set(peers.map(({ url }) => url)), (url) => ({ type: 'peer-gone', url }));
    this.#tell('network', { type: 'network', network });
    this.#tell('cache', { type: 'cache', cache });
    this.#tell('counters', { type: 'counters', ...this.#report.counters });
  }

  /** Tells it unless that was told before. */
  #tell(key: string, event: StatsEvent): void {
    const text = JSON.stringify(event);
    if (this.#told.get(key) === text) return;
    this.#told.set(key, text);
    this.#news.push(event);
  }

  /** Tells of what was told before and is no more. */
  #forget(prefix: string, present: ReadonlySet<string>, event: (name: string) => StatsEvent): void {
    for (const key of this.#told.keys()) {
      const name = key.startsWith(prefix) ? key.slice(prefix.length) : undefined;
      if (name === undefined || present.has(name)) continue;
      this.#told.delete(key);
      this.#news.push(event(name));
    }
  }
}
