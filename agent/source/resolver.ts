import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import { LRUCache } from 'lru-cache';
import { type Clock, systemClock } from '../telemetry/clock.ts';

type Addresses = readonly dns.LookupAddress[];
type Resolve = (host: string) => Promise<dns.LookupAddress[]>;

const freshFor = 60_000;
const impatience = 1_000;
const maxConcurrent = 2;

/**
 * Name resolution that a dead or captive network cannot use to hold up the agent. getaddrinfo runs on libuv's thread
 * pool and may sit there for many seconds, so at most two names are resolved at once, one query serves everyone who
 * asks for the same name, and addresses once known are used again when a new answer fails or takes over a second.
 */
export class Resolver {
  readonly #known = new LRUCache<string, { addresses: Addresses; at: number }>({ max: 256 });
  readonly #running = new Map<string, Promise<Addresses>>();
  readonly #waiting: (() => void)[] = [];
  #active = 0;
  readonly #clock: Clock;
  readonly #resolve: Resolve;

  constructor(
    clock: Clock = systemClock,
    resolve: Resolve = (host) => dns.promises.lookup(host, { all: true }),
  ) {
    this.#clock = clock;
    this.#resolve = resolve;
  }

  /** For the `lookup` option of net.connect and undici. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.addresses(hostname).then(
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

  /** Forgets what belongs to a network that the machine has left. */
  forget(): void {
    this.#known.clear();
  }

  #start(host: string): Promise<Addresses> {
    const query = this.#turn()
      .then(() => this.#resolve(host))
      .then((addresses) => {
        this.#known.set(host, { addresses, at: this.#clock.now() });
        return addresses;
      })
      .finally(() => {
        this.#running.delete(host);
        const next = this.#waiting.shift();
        if (next) next();
        else this.#active--;
      });
    query.catch(() => {});
    this.#running.set(host, query);
    return query;
  }

  #turn(): Promise<void> {
    if (this.#active < maxConcurrent) {
      this.#active++;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
