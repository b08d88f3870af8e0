import type { LookupFunction } from 'node:net';
import Agent, { type BareAgent } from 'undici/lib/dispatcher/agent.js';

export interface ConnectionsOptions {
  /** Longest wait for a connection, in ms. */
  readonly connectTimeout: number;
  /** Name resolution for the source itself. */
  readonly lookup: LookupFunction;
  /** Name resolution for the hosts that its redirects lead to. */
  readonly lookupElsewhere: LookupFunction;
}

/** The connections of one source. NARs have some of their own, so that a lookup never queues behind them. */
export class Connections {
  readonly lookups: BareAgent;
  readonly transfers: BareAgent;
  /** To the hosts that redirects lead to. */
  readonly elsewhere: BareAgent;

  constructor({ connectTimeout: timeout, lookup, lookupElsewhere }: ConnectionsOptions) {
    const options = { allowH2: false, keepAliveTimeout: 30_000, maxHeaderSize: 16_384, connections: 32 };
    this.lookups = new Agent({ ...options, connect: { timeout, lookup } });
    this.transfers = new Agent({ ...options, connect: { timeout, lookup } });
    this.elsewhere = new Agent({
      ...options,
      maxOrigins: 64,
      connect: { timeout, lookup: lookupElsewhere },
    });
  }

  /** Closes all, also those in use. */
  async destroy(): Promise<void> {
    await Promise.all([this.lookups.destroy(), this.transfers.destroy(), this.elsewhere.destroy()]);
  }
}
