import type { LookupFunction } from 'node:net';
import Agent, { type BareAgent } from 'undici/lib/dispatcher/agent.js';

export interface ConnectionsOptions {
  /** Longest wait for a connection, in ms. */
  readonly connectTimeout: number;
  /** Name resolution for the source itself. */
  readonly lookup: LookupFunction;
  /** Name resolution for the hosts that its redirects lead to. */
  readonly lookupElsewhere: LookupFunction;
  /** Most connections for lookups at once. */
  readonly maxForLookups: number;
}

/** Questions under way at once in one HTTP/2 connection, as far as the server allows: a closure's are many and small. */
const maxStreams = 256;

/** The connections of one source. NARs have some of their own, so that a lookup never queues behind them. */
export class Connections {
  readonly transfers: BareAgent;
  /** To the hosts that redirects lead to. */
  readonly elsewhere: BareAgent;
  readonly #newLookups: () => BareAgent;
  #lookups: BareAgent;

  constructor({ connectTimeout: timeout, lookup, lookupElsewhere, maxForLookups }: ConnectionsOptions) {
    const options = { allowH2: false, keepAliveTimeout: 30_000, maxHeaderSize: 16_384, connections: 32 };
    const multiplexed = { allowH2: true, maxConcurrentStreams: maxStreams, connections: maxForLookups };
    this.#newLookups = () => new Agent({ ...options, ...multiplexed, connect: { timeout, lookup } });
    this.#lookups = this.#newLookups();
    this.transfers = new Agent({ ...options, connect: { timeout, lookup } });
    this.elsewhere = new Agent({
      ...options,
      maxOrigins: 64,
      connect: { timeout, lookup: lookupElsewhere },
    });
  }

  /** For narinfos and probes: a stream each of one HTTP/2 connection where the server speaks that, else a connection each. */
  get lookups(): BareAgent {
    return this.#lookups;
  }

  /** A connection that fell silent may be dead, and over HTTP/2 all would wait on it: ends them, later questions make new ones. */
  renewLookups(): void {
    void this.#lookups.destroy();
    this.#lookups = this.#newLookups();
  }

  /** Closes all, also those in use. */
  async destroy(): Promise<void> {
    await Promise.all([this.#lookups.destroy(), this.transfers.destroy(), this.elsewhere.destroy()]);
  }
}
