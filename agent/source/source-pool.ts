import { EventEmitter } from 'node:events';
import { MonitoredSource, type MonitorOptions } from './monitored-source.ts';
import type { Reach, Source } from './source.ts';

const rank: Record<Reach, number> = { disk: 0, lan: 0, upstream: 1 };

/** Asked earlier: near before far, then the operator's priority, then the quicker one. */
export function inOrder(a: MonitoredSource, b: MonitoredSource): number {
  return (
    rank[a.source.reach] - rank[b.source.reach] ||
    a.priority - b.priority ||
    (a.latency.value ?? Number.POSITIVE_INFINITY) - (b.latency.value ?? Number.POSITIVE_INFINITY) ||
    0
  );
}

/** All sources of the agent, and which of them to ask now. Emits `changed` when a source's health or the network changes. */
export class SourcePool extends EventEmitter<{ changed: [] }> {
  readonly #sources = new Map<string, MonitoredSource>();
  readonly #options: Omit<MonitorOptions, 'changed'>;

  constructor(options: Omit<MonitorOptions, 'changed'>) {
    super();
    this.setMaxListeners(0);
    this.#options = options;
  }

  /** Every source, usable or not. */
  get all(): readonly MonitoredSource[] {
    return [...this.#sources.values()];
  }

  get(id: string): MonitoredSource | undefined {
    return this.#sources.get(id);
  }

  /** The sources that it makes sense to ask now, best first. */
  usable(): MonitoredSource[] {
    return this.all.filter((source) => source.usable).sort(inOrder);
  }

  /** Takes the place of a source with the same id. */
  add(source: Source): MonitoredSource {
    void this.#sources.get(source.id)?.close();
    const monitored = new MonitoredSource(source, { ...this.#options, changed: () => this.emit('changed') });
    this.#sources.set(source.id, monitored);
    this.emit('changed');
    return monitored;
  }

  async remove(id: string): Promise<void> {
    const source = this.#sources.get(id);
    this.#sources.delete(id);
    await source?.close();
    this.emit('changed');
  }

  /** Probes every source, so that priorities, latencies and the missing ones are known before the first question. */
  async checkAll(): Promise<void> {
    await Promise.all(this.all.map((source) => source.check()));
  }

  /** This machine is on another network; `left` tells whether there is one that it is not on any more. */
  async networkChanged(left = true): Promise<void> {
    await Promise.all(this.all.map((source) => source.networkChanged(left)));
    this.emit('changed');
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((source) => source.close()));
  }
}
