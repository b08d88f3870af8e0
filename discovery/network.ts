import { EventEmitter } from 'node:events';
import { type Cancel, type Clock, systemClock } from './clock.ts';
import { type InterfaceAddress, linkKey, type ReadInterfaces, systemInterfaces } from './interfaces.ts';

/**
 * Why a network counts as changed: other interfaces or addresses, or the machine slept and may be anywhere now, or somebody
 * has told who sees more than the interfaces, such as that a login page has been passed.
 */
export type NetworkChange = 'interfaces' | 'resumed' | 'told';

/** Knows what networks this machine is on, and tells when they are others than before. */
export interface NetworkWatch {
  /** Whether some interface but loopback is up and has an address. Right at once, started or not. */
  readonly online: boolean;
  /** The addresses by which this machine can be reached, as last seen. */
  readonly addresses: readonly InterfaceAddress[];
  on(event: 'changed', listener: (change: NetworkChange) => void): this;
  off(event: 'changed', listener: (change: NetworkChange) => void): this;
  /** Begins to look. Does nothing when already begun. */
  start(): void;
  /** Looks no more, until started again. Does nothing when already stopped. */
  stop(): void;
  /** Looks now, for callers that have cause to doubt what was last seen. */
  poke(): void;
  /** Looks now, and tells of a change whatever there is to see. */
  tell(): void;
}

/** What a network watch stands on; each has the machine's own as its default. */
export interface NetworkWatchOptions {
  readonly clock?: Clock;
  readonly readInterfaces?: ReadInterfaces;
}

/** Watches this machine's interfaces: looks each 0.75 s, which takes less than 0.1 ms. */
export function watchNetwork(options: NetworkWatchOptions = {}): NetworkWatch {
  return new PollingWatch(options.clock ?? systemClock, options.readInterfaces ?? systemInterfaces);
}

const pollPeriod = 750; // ms; with the time to verify a peer, a new network is in use within a second

// Far above any stall of a healthy event loop, far below any sleep in which a laptop can be carried elsewhere.
const sleepAtLeast = 5_000;

class PollingWatch extends EventEmitter<{ changed: [NetworkChange] }> implements NetworkWatch {
  readonly #clock: Clock;
  readonly #readInterfaces: ReadInterfaces;
  #cancel: Cancel | undefined;
  #addresses: readonly InterfaceAddress[] = [];
  #fingerprint = '';
  #lastLook: number;
  #blind = false;

  constructor(clock: Clock, readInterfaces: ReadInterfaces) {
    super();
    this.#clock = clock;
    this.#readInterfaces = readInterfaces;
    this.#lastLook = clock.wall();
    this.#look();
  }

  // Where interfaces can't be listed, nothing speaks for being offline, and saying so would cut off the caches.
  get online(): boolean {
    return this.#blind || this.#addresses.length > 0;
  }

  get addresses(): readonly InterfaceAddress[] {
    return this.#addresses;
  }

  start(): void {
    if (this.#cancel) return;
    this.#lastLook = this.#clock.wall();
    this.#cancel = this.#clock.every(pollPeriod, () => this.#tick());
    this.poke();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  poke(): void {
    if (this.#look()) this.emit('changed', 'interfaces');
  }

  tell(): void {
    this.#look();
    this.emit('changed', 'told');
  }

  #tick(): void {
    const before = this.#lastLook;
    this.#lastLook = this.#clock.wall();
    const changed = this.#look();
    if (this.#lastLook - before >= sleepAtLeast) this.emit('changed', 'resumed');
    else if (changed) this.emit('changed', 'interfaces');
  }

  #look(): boolean {
    const before = this.#fingerprint;
    try {
      this.#addresses = this.#readInterfaces();
      this.#blind = false;
    } catch {
      this.#addresses = [];
      this.#blind = true;
    }
    this.#fingerprint = [...new Set(this.#addresses.map(linkKey))].sort().join('\n');
    return this.#fingerprint !== before;
  }
}
