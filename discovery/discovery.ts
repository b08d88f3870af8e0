import { createSocket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import { type Announcement, announcementRecords } from './announcement.ts';
import { type Clock, systemClock } from './clock.ts';
import { DiscoveryError } from './error.ts';
import type { UdpSocket } from './guarded-socket.ts';
import { type InterfaceAddress, linkKey } from './interfaces.ts';
import type { NetworkChange, NetworkWatch } from './network.ts';
import type { Peer } from './peer.ts';
import { createPeers, type Peers, urlOf } from './peers.ts';
import type { Announced, News } from './records.ts';
import { openSession, type Session } from './session.ts';
import { isOnSubnet } from './subnet.ts';
import type { Verify } from './verify.ts';

/** What discovery does, and what it stands on. */
export interface DiscoveryOptions {
  /** Asks a peer whether it is a cache for us. */
  readonly verify: Verify;
  /** Watches this machine's interfaces. Whoever made it starts and stops it. */
  readonly network: NetworkWatch;
  /** This machine's own cache, never taken for a peer; undefined where it has none. */
  readonly own?: Announcement;
  /** Whether to look for others' caches. Default true. */
  readonly browse?: boolean;
  /** Whether to announce our own. Default true. */
  readonly announce?: boolean;
  /** Base URLs of caches that don't announce themselves. */
  readonly staticPeers?: readonly string[];
  readonly clock?: Clock;
  readonly createSocket?: () => UdpSocket;
}

/** What discovery tells. */
export interface DiscoveryEvents {
  /** A peer is usable from now on. */
  'peer up': [peer: Peer];
  /** A peer is not usable any more; its `reason` says why. */
  'peer down': [peer: Peer];
  /** This machine is on other networks than before. Peers that were lost with the old ones were told `down` already. */
  'network changed': [change: NetworkChange];
  /** Multicast DNS does not work on some interface. Told once, until it has recovered. */
  trouble: [error: DiscoveryError];
  /** What the trouble of this code stood for works again. */
  recovered: [code: string];
}

/** One interface on which multicast DNS is spoken. */
export interface LinkStatus {
  readonly name: string;
  readonly address: string;
  /** Why it does not work there now. */
  readonly trouble: DiscoveryError | undefined;
}

/** Finds the LAN's caches and tells of this machine's own. */
export interface Discovery {
  /** Every peer known now, usable or not. */
  readonly peers: readonly Peer[];
  /** The interfaces in use now; none while offline. */
  readonly links: readonly LinkStatus[];
  on<E extends keyof DiscoveryEvents>(event: E, listener: (...args: DiscoveryEvents[E]) => void): this;
  off<E extends keyof DiscoveryEvents>(event: E, listener: (...args: DiscoveryEvents[E]) => void): this;
  /** Begins, offline or not. Does nothing when already begun. */
  start(): void;
  /** Takes the announcement back and forgets all peers, without events. Does nothing when already stopped. */
  stop(): Promise<void>;
  /** A request to the peer with this `url` failed: it is verified again at once, and told `down` if that fails. */
  doubt(url: string): void;
  /** A request to the peer with this `url` went well: it need not be verified again for a while. */
  vouch(url: string): void;
}

/** Puts discovery together. Throws a DiscoveryError for an announcement or a static peer that can't be. */
export function createDiscovery(options: DiscoveryOptions): Discovery {
  if (options.own) announcementRecords(options.own, '0.0.0.0');
  for (const url of options.staticPeers ?? []) requireHttpUrl(url);
  return new LanDiscovery(options);
}

function requireHttpUrl(text: string): void {
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol)) {
    if (url.username === '' && url.password === '') return;
    throw new DiscoveryError(
      'bad-peer',
      `The peer at ${url.host} can't be used: put its password in a netrc file.`,
    );
  }
  throw new DiscoveryError('bad-peer', `The peer "${text}" can't be used: write it as http://HOST[:PORT].`);
}

const maxSessions = 16;

class LanDiscovery extends EventEmitter<DiscoveryEvents> implements Discovery {
  readonly #options: DiscoveryOptions;
  readonly #clock: Clock;
  readonly #network: NetworkWatch;
  readonly #sessions = new Map<string, Session>();
  readonly #told = new Set<string>();
  #peers: Peers | undefined;

  constructor(options: DiscoveryOptions) {
    super();
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#network = options.network;
  }

  get peers(): readonly Peer[] {
    return this.#peers?.list() ?? [];
  }

  get links(): readonly LinkStatus[] {
    return [...this.#sessions.values()].map(({ link: { name, address }, trouble }) => ({
      name,
      address,
      trouble,
    }));
  }

  start(): void {
    if (this.#peers) return;
    const peers = createPeers({
      clock: this.#clock,
      verify: this.#options.verify,
      isNear: (address) => this.#network.addresses.some((link) => isOnSubnet(link, address)),
    });
    peers.on('up', (peer) => this.emit('peer up', peer));
    peers.on('down', (peer) => {
      this.emit('peer down', peer);
      for (const session of this.#sessions.values()) session.askAgain();
    });
    this.#peers = peers;
    this.#network.on('changed', this.#follow);
    this.#openMissing();
    for (const url of this.#options.staticPeers ?? []) peers.addStatic(url);
  }

  async stop(): Promise<void> {
    this.#network.off('changed', this.#follow);
    this.#peers?.stop();
    this.#peers = undefined;
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    this.#told.clear();
    await Promise.all(sessions.map((session) => session.stop()));
  }

  doubt(url: string): void {
    this.#peers?.doubt(url);
  }

  vouch(url: string): void {
    this.#peers?.vouch(url);
  }

  readonly #follow = (change: NetworkChange): void => {
    const lost = this.#closeLost(change);
    this.#openMissing();
    this.#peers?.moved((address) => lost.some((link) => isOnSubnet(link, address)));
    this.emit('network changed', change);
  };

  #closeLost(change: NetworkChange): InterfaceAddress[] {
    const present = new Set(this.#network.addresses.map(linkKey));
    const lost = [...this.#sessions].filter(([key]) => change === 'resumed' || !present.has(key));
    for (const [key, session] of lost) {
      session.close();
      this.#sessions.delete(key);
    }
    return lost.map(([, { link }]) => link);
  }

  #openMissing(): void {
    const { own, browse = true, announce = true } = this.#options;
    const announcement = announce ? own : undefined;
    if (!browse && !announcement) return;
    for (const link of this.#network.addresses) {
      if (link.family !== 'IPv4' || link.tunnel) continue;
      if (this.#sessions.has(linkKey(link)) || this.#sessions.size === maxSessions) continue;
      this.#sessions.set(linkKey(link), this.#openSession(link, browse, announcement));
    }
  }

  #openSession(link: InterfaceAddress, browse: boolean, announcement: Announcement | undefined): Session {
    return openSession({
      link,
      clock: this.#clock,
      createSocket: this.#options.createSocket ?? (() => createSocket({ type: 'udp4', reuseAddr: true })),
      browse,
      announcement,
      isSettled: (cache) => this.#isOwn(cache) || this.#peers?.isUp(urlOf(cache)) === true,
      heard: (news) => this.#hear(news),
      fared: (trouble) => this.#report(trouble),
    });
  }

  #hear({ seen, gone }: News): void {
    for (const cache of gone) this.#peers?.takenBack(cache);
    for (const cache of seen) if (!this.#isOwn(cache)) this.#peers?.announced(cache);
  }

  // Something else on this machine may announce our cache for us, without our id.
  #isOwn({ source, port, txt }: Announced): boolean {
    const { own } = this.#options;
    if (!own) return false;
    if (txt.get('id') === own.id) return true;
    return port === own.port && this.#network.addresses.some(({ address }) => address === source);
  }

  #report(trouble: DiscoveryError | undefined): void {
    if (trouble) {
      if (this.#told.has(trouble.code)) return;
      this.#told.add(trouble.code);
      this.emit('trouble', trouble);
      return;
    }
    const present = new Set([...this.#sessions.values()].map((session) => session.trouble?.code));
    for (const code of this.#told) {
      if (present.has(code)) continue;
      this.#told.delete(code);
      this.emit('recovered', code);
    }
  }
}
