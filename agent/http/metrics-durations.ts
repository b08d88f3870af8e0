import { Histogram as PrometheusHistogram } from 'prom-client';
import type { Histogram } from '../telemetry/histogram.ts';

interface Labelled {
  readonly labels: Readonly<Record<string, string>>;
  readonly times: Histogram;
}

/** Bounds in ms that are told: from half a millisecond to half a minute. */
const shown = { least: 0.5, most: 32_768 };

/** Our own histograms, as one of Prometheus's. */
export class Durations extends PrometheusHistogram {
  readonly #name: string;
  readonly #help: string;
  readonly #all: readonly Labelled[];

  constructor(name: string, help: string, all: readonly Labelled[]) {
    super({ name, help, registers: [] });
    this.#name = name;
    this.#help = help;
    this.#all = all;
  }

  /** What prom-client 15 (lib/registry.js) asks a histogram for, in seconds. */
  async getForPromString() {
    const values = this.#all.flatMap((labelled) => this.#values(labelled));
    return { name: this.#name, help: this.#help, type: 'histogram', values };
  }

  #values({ labels, times }: Labelled) {
    const row = (suffix: string, value: number, le?: number | string) => ({
      metricName: `${this.#name}_${suffix}`,
      labels: le === undefined ? labels : { ...labels, le },
      value,
    });
    const buckets = times
      .doublings()
      .filter(({ bound }) => bound >= shown.least && bound <= shown.most)
      .map(({ bound, count }) => row('bucket', count, bound / 1_000));
    return [
      ...buckets,
      row('bucket', times.count, '+Inf'),
      row('sum', times.sum / 1_000),
      row('count', times.count),
    ];
  }
}
