import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import { LRUCache } from 'lru-cache';
import { type Clock, systemClock } from '../telemetry/clock.ts';

export type Addresses = readonly dns.LookupAddress[];
type Resolve = (host: string) => Promise<Addresses>;

const freshFor = 60_000;
const impatience = 1_000;
const maxConcurrent = 2;
/** Queries of this network and of those that were left, together: what they may take of the thread pool. */
const maxInAll = 6;

/**
 * Name resolution that a dead or captive network cannot use to hold up the agent. getaddrinfo runs on libuv's thread
 * pool and may sit there for many seconds, so at most two names are resolved at once, one query serves everyone who
 * asks for the same name, and addresses once known are used again when a new answer fails or takes over a second.
 */
export class Resolver {
  readonly #known = new LRUCache<string, { addresses: Addresses; at: number }>({ max: 256 });
  readonly #running = new Map<string, Promise<Addresses>>();
  readonly #waiting: ((network: number) => void)[] = [];
  #network = 0;
  #active = 0;
  #abandoned = 0;
  readonly #clock: Clock;
  readonly #resolve: Resolve;

  constructor(
    clock: Clock = systemClock,
    resolve: Resolve = (host) => dns.promises.lookup(host, { all: true }),
  ) {
    this.#clock = clock;
    this.#resolve = resolve;
  }

  /** The addresses of a host; rejects with getaddrinfo's error when they are not known and cannot be had. */
  async addresses(host: string): Promise<Addresses> {
    const known = this.#known.get(host);
    if (known !== undefined && this.#clock.now() - known.at < freshFor) return known.addresses;
    const fresh = this.#running.get(host) ?? this.#start(host);
    if (known === undefined) return await fresh;
    return await new Promise((resolve) => {
      const cancel = this.#clock.after(impatience, () => resolve(known.addresses));
      fresh.then(resolve, () => resolve(known.addresses)).finally(cancel);
    });
  }

  /** The addresses of a host as far as they are known, however old. */
  known(host: string): Addresses | undefined {
    return this.#known.get(host)?.addresses;
  }

  /**
   * Whether a host that cannot be reached where it was has other addresses now. Asks anew, for a second at most, unless someone has
   * done so since.
   */
  async moved(host: string, from: Addresses): Promise<boolean> {
    const known = this.#known.get(host);
    if (known?.addresses === from) known.at = Number.NEGATIVE_INFINITY;
    const now = await this.addresses(host).catch(() => from);
    const same = (a: Addresses, b: Addresses) =>
      a.every(({ address }) => b.some((other) => other.address === address));
    return !same(now, from);
  }

  /** The machine has left the network: what was learnt there is forgotten, and queries that still hang there hold up no new ones. */
  forget(): void {
    this.#known.clear();
    this.#running.clear();
    this.#network++;
    this.#abandoned += this.#active;
    this.#active = 0;
    this.#letIn();
  }

  #start(host: string): Promise<Addresses> {
    const query = this.#ask(host).finally(() => {
      if (this.#running.get(host) === query) this.#running.delete(host);
    });
    query.catch(() => {});
    this.#running.set(host, query);
    return query;
  }

  async #ask(host: string): Promise<Addresses> {
    const network = await this.#turn();
    try {
      const addresses = await this.#resolve(host);
      if (network === this.#network) this.#known.set(host, { addresses, at: this.#clock.now() });
      return addresses;
    } finally {
      if (network === this.#network) this.#active--;
      else this.#abandoned--;
      this.#letIn();
    }
  }

  /** Resolves, when it is this query's turn, to the network that it is asked on. */
  #turn(): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#waiting.push(resolve);
    this.#letIn();
    return promise;
  }

  #letIn(): void {
    while (this.#active < maxConcurrent && this.#active + this.#abandoned < maxInAll) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#active++;
      next(this.#network);
    }
  }
}

/** Where addresses come from, in the shape that net.connect and undici want. */
export function asLookup(addresses: (host: string) => Promise<Addresses>): LookupFunction {
  return (hostname, options, callback) => {
    addresses(hostname).then(
      (all) => {
        const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : options.family || 0;
        const fitting = family === 0 ? [...all] : all.filter((address) => address.family === family);
        const first = fitting[0];
        if (first === undefined)
          callback(Object.assign(new Error(`${hostname} has no such address`), { code: 'ENOTFOUND' }), '', 0);
        else if (options.all) callback(null, fitting);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}
