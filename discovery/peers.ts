import { EventEmitter } from 'node:events';
import type { Cancel, Clock } from './clock.ts';
import type { Peer, PeerState } from './peer.ts';
import type { Announced } from './records.ts';
import type { ServiceType } from './service-types.ts';
import { TokenBucket } from './token-bucket.ts';
import { boundVerify, type TimedVerdict, type Verify } from './verify.ts';

/** What the table of peers stands on. */
export interface PeersOptions {
  readonly clock: Clock;
  readonly verify: Verify;
  /** Whether an address is on a network that this machine is on now. Announced peers elsewhere are not called. */
  isNear(address: string): boolean;
}

/** Knows the peers, and which of them are usable. */
export interface Peers {
  on(event: 'up' | 'down', listener: (peer: Peer) => void): this;
  /** Every peer, in the order in which they became known. */
  list(): Peer[];
  isUp(url: string): boolean;
  /** Adds a peer that the operator named, and verifies it at once. */
  addStatic(url: string): void;
  /** Takes in an announcement. A peer that is new or down is verified at once. */
  announced(cache: Announced): void;
  /** Takes in a goodbye. As anybody may have sent it, the peer is verified again, and stays if it answers. */
  takenBack(cache: Announced): void;
  /** Takes in that a request to the peer failed: it is verified again. */
  doubt(url: string): void;
  /** Takes in that a request to the peer went well, which spares a verification. */
  vouch(url: string): void;
  /** Takes in that the network changed. Every peer is verified again; whatever was reached by a lost link is down until then. */
  moved(wasLost: (address: string) => boolean): void;
  /** Forgets every peer, without events. */
  stop(): void;
}

/** The base URL of an announced cache: the address that the packet came from and the port, nothing else. */
export function urlOf({ source, port }: Pick<Announced, 'source' | 'port'>): string {
  return new URL(`http://${source}:${port}/`).href;
}

/** An empty table. It never holds more than 32 announced peers, 4 at one address. */
export function createPeers(options: PeersOptions): Peers {
  return new PeerTable(options);
}

const maxPeers = 32;
const maxPeersPerAddress = 4;
const [unprovenRate, unprovenBurst] = [5, 16]; // verifications a second that announcements can bring about
const upPeriod = 10_000; // ms between verifications of a peer that is up
const confirmAfter = 1_000; // ms until the second look at a peer that is in doubt and answers
const [firstRetry, lastRetry] = [1_000, 60_000]; // ms after a failure; doubled by each
const gapForOthers = 300; // ms between verifications that the network can bring about
const gapForOwn = 200; // ms between verifications that our own requests can bring about
const forgetAfter = 600_000; // ms without a sign of life

class Entry {
  readonly url: string;
  readonly address: string;
  name: string;
  origin: ServiceType | 'static';
  state: PeerState = 'checking';
  reason: string | undefined = 'not verified yet';
  latency: number | undefined;
  lastSeen: number | undefined;
  announced: ReadonlyMap<string, string> = new Map();
  failures = 0;
  lastCheck = Number.NEGATIVE_INFINITY;
  /** The verification under way; aborted when its outcome no longer counts. */
  check: AbortController | undefined;
  /** A good outcome of the verification under way, or of the next, is to be confirmed soon. */
  confirm = false;
  /** The next verification. */
  next: { readonly due: number; readonly cancel: Cancel } | undefined;

  constructor(url: string, address: string, name: string, origin: ServiceType | 'static') {
    this.url = url;
    this.address = address;
    this.name = name;
    this.origin = origin;
  }
}

class PeerTable extends EventEmitter<{ up: [Peer]; down: [Peer] }> implements Peers {
  readonly #clock: Clock;
  readonly #isNear: (address: string) => boolean;
  // Two queues, so that a crowd of made-up newcomers keeps no proven peer waiting.
  readonly #verifyNewcomer: ReturnType<typeof boundVerify>;
  readonly #verifyProven: ReturnType<typeof boundVerify>;
  readonly #unproven: TokenBucket;
  readonly #entries = new Map<string, Entry>();

  constructor({ clock, verify, isNear }: PeersOptions) {
    super();
    this.#clock = clock;
    this.#isNear = isNear;
    this.#verifyNewcomer = boundVerify(verify, clock);
    this.#verifyProven = boundVerify(verify, clock);
    this.#unproven = new TokenBucket(clock, unprovenRate, unprovenBurst);
  }

  list(): Peer[] {
    return [...this.#entries.values()].map(snapshot);
  }

  isUp(url: string): boolean {
    return this.#entries.get(url)?.state === 'up';
  }

  addStatic(url: string): void {
    const { href, hostname, host } = new URL(url);
    const known = this.#entries.get(href);
    if (known) known.origin = 'static';
    this.#check(known ?? this.#add(new Entry(href, hostname, host, 'static')));
  }

  announced(cache: Announced): void {
    const url = urlOf(cache);
    const known = this.#entries.get(url);
    const entry = known ?? this.#admit(url, cache);
    if (!entry) return;
    entry.name = cache.label;
    entry.announced = cache.txt;
    entry.lastSeen = this.#clock.wall();
    if (entry.state !== 'up' && (!known || this.#unproven.take())) this.#checkWithin(entry, gapForOthers);
    for (const other of this.#entries.values()) {
      // The cache may have moved to this address, and could not say goodbye from its old one.
      const isNamesake = other !== entry && other.name === entry.name;
      if (isNamesake && other.state === 'up') this.#checkWithin(other, gapForOthers);
    }
  }

  takenBack(cache: Announced): void {
    const entry = this.#entries.get(urlOf(cache));
    if (entry?.state !== 'up') return;
    this.#checkWithin(entry, gapForOthers);
    entry.confirm = true; // whoever takes its leave may still answer for a moment
  }

  doubt(url: string): void {
    const entry = this.#entries.get(url);
    if (entry) this.#checkWithin(entry, gapForOwn);
  }

  vouch(url: string): void {
    const entry = this.#entries.get(url);
    if (entry?.state !== 'up' || entry.check) return;
    entry.lastSeen = this.#clock.wall();
    // Not for each of a thousand requests a second.
    if (entry.next && entry.next.due < this.#clock.now() + upPeriod - 1_000) this.#schedule(entry, upPeriod);
  }

  moved(wasLost: (address: string) => boolean): void {
    for (const entry of this.#entries.values()) {
      entry.failures = 0;
      const isLost = entry.origin !== 'static' && wasLost(entry.address);
      if (isLost) this.#demote(entry, 'checking', 'the network changed');
      this.#check(entry);
    }
  }

  stop(): void {
    for (const entry of this.#entries.values()) this.#remove(entry);
  }

  #add(entry: Entry): Entry {
    this.#entries.set(entry.url, entry);
    return entry;
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.url);
    entry.next?.cancel();
    entry.check?.abort();
  }

  #admit(url: string, cache: Announced): Entry | undefined {
    const atAddress = [...this.#entries.values()].filter(({ address }) => address === cache.source);
    if (!this.#hasRoom(atAddress, maxPeersPerAddress)) return undefined;
    if (!this.#hasRoom([...this.#entries.values()], maxPeers)) return undefined;
    if (!this.#unproven.take()) return undefined;
    return this.#add(new Entry(url, cache.source, cache.label, cache.type));
  }

  // A full table makes room by forgetting the announced peer that has failed most often.
  #hasRoom(entries: readonly Entry[], max: number): boolean {
    if (entries.length < max) return true;
    const [worst] = entries
      .filter(({ state, origin }) => state === 'down' && origin !== 'static')
      .sort((a, b) => b.failures - a.failures);
    if (worst) this.#remove(worst);
    return worst !== undefined;
  }

  #checkWithin(entry: Entry, gap: number): void {
    if (entry.check) {
      entry.confirm = true;
      return;
    }
    const now = this.#clock.now();
    const delay = Math.max(0, entry.lastCheck + gap - now);
    if (!entry.next || entry.next.due > now + delay) this.#schedule(entry, delay);
  }

  #schedule(entry: Entry, delay: number): void {
    entry.next?.cancel();
    const cancel = this.#clock.after(delay, () => this.#check(entry));
    entry.next = { due: this.#clock.now() + delay, cancel };
  }

  // Begins at once, in place of what was planned or under way.
  async #check(entry: Entry): Promise<void> {
    entry.next?.cancel();
    entry.next = undefined;
    entry.check?.abort();
    const check = new AbortController();
    entry.check = check;
    entry.lastCheck = this.#clock.now();
    const verdict = await this.#verify(entry, check.signal);
    if (entry.check !== check || check.signal.aborted) return;
    entry.check = undefined;
    this.#settle(entry, verdict);
  }

  async #verify(entry: Entry, signal: AbortSignal): Promise<TimedVerdict> {
    if (entry.origin !== 'static' && !this.#isNear(entry.address)) {
      return { ok: false, reason: 'not on a network of this machine', took: 0 };
    }
    const isProven = entry.origin === 'static' || entry.latency !== undefined;
    return isProven ? this.#verifyProven(entry.url, signal) : this.#verifyNewcomer(entry.url, signal);
  }

  #settle(entry: Entry, verdict: TimedVerdict): void {
    if (verdict.ok) this.#promote(entry, verdict.took);
    else {
      entry.failures += 1;
      this.#demote(entry, 'down', verdict.reason);
      if (this.#isForgettable(entry)) this.#remove(entry);
      else this.#schedule(entry, Math.min(lastRetry, firstRetry * 2 ** (entry.failures - 1)));
    }
  }

  #promote(entry: Entry, took: number): void {
    const wasUp = entry.state === 'up';
    entry.state = 'up';
    entry.reason = undefined;
    entry.failures = 0;
    entry.latency = took;
    entry.lastSeen = this.#clock.wall();
    this.#schedule(entry, entry.confirm ? confirmAfter : upPeriod);
    entry.confirm = false;
    if (!wasUp) this.emit('up', snapshot(entry));
  }

  #demote(entry: Entry, state: PeerState, reason: string): void {
    const wasUp = entry.state === 'up';
    entry.state = state;
    entry.reason = reason;
    if (wasUp) this.emit('down', snapshot(entry));
  }

  #isForgettable({ origin, lastSeen = 0 }: Entry): boolean {
    return origin !== 'static' && this.#clock.wall() - lastSeen > forgetAfter;
  }
}

function snapshot({ url, name, origin, state, reason, latency, lastSeen, announced }: Entry): Peer {
  return { url, name, origin, state, reason, latency, lastSeen, announced };
}
