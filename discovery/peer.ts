import type { ServiceType } from './service-types.ts';

/** `checking` until it is verified on this network; then `up`, usable, or `down`, tried again now and then. */
export type PeerState = 'checking' | 'up' | 'down';

/** A cache on the LAN, as it stands at one moment. */
export interface Peer {
  /** Its base URL, by which it is known: `http://192.168.0.42:6271/`. */
  readonly url: string;
  /** How it calls itself, fit to be shown; the URL's host where nobody told a name. */
  readonly name: string;
  /** The type of service that it announced, or `static` for one that the operator named. */
  readonly origin: ServiceType | 'static';
  readonly state: PeerState;
  /** Why it is not up, in a few words. */
  readonly reason: string | undefined;
  /** How long its last good verification took, in ms. */
  readonly latency: number | undefined;
  /** When it was last announced or verified, in ms since the epoch. */
  readonly lastSeen: number | undefined;
  /** The TXT record that it announced, keys in lower case. */
  readonly announced: ReadonlyMap<string, string>;
}
