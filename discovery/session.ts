import { type Announcer, announce } from './announce.ts';
import { type Announcement, announcementRecords } from './announcement.ts';
import { type Browser, browse } from './browse.ts';
import type { Cancel, Clock } from './clock.ts';
import { DiscoveryError } from './error.ts';
import type { UdpSocket } from './guarded-socket.ts';
import { mdnsPort } from './guards.ts';
import type { InterfaceAddress } from './interfaces.ts';
import type { Announced, News } from './records.ts';
import { openTransport, type Transport } from './transport.ts';

/** Multicast DNS on one interface. */
export interface Session {
  readonly link: InterfaceAddress;
  /** Why it does not work now; undefined while it does. */
  readonly trouble: DiscoveryError | undefined;
  /** Asks again soon, because a cache got lost that may be there under another address. */
  askAgain(): void;
  /** Takes the announcement back and closes. */
  stop(): Promise<void>;
  /** Closes without a word, when the link is gone. */
  close(): void;
}

/** What a session does and whom it tells. */
export interface SessionOptions {
  readonly link: InterfaceAddress;
  readonly clock: Clock;
  readonly createSocket: () => UdpSocket;
  /** Whether to look for others' caches. */
  readonly browse: boolean;
  /** What to tell of our own; undefined to keep quiet. */
  readonly announcement: Announcement | undefined;
  /** Whether a cache is known and well, so that it need not answer again. */
  isSettled(cache: Announced): boolean;
  heard(news: News): void;
  /** It turned out that the session works, or what its trouble is. */
  fared(trouble: DiscoveryError | undefined): void;
}

const reopenAfter = 5_000; // ms
const goodbyeWithin = 500; // ms

/** Opens a session, which reopens itself for as long as its socket can't be had. */
export function openSession(options: SessionOptions): Session {
  const { link, clock, announcement } = options;
  const records = announcement && announcementRecords(announcement, link.address);
  let transport: Transport | undefined;
  let announcer: Announcer | undefined;
  let browser: Browser | undefined;
  let reopening: Cancel | undefined;
  let trouble: DiscoveryError | undefined;
  open();

  return {
    link,
    get trouble() {
      return trouble;
    },
    askAgain: () => browser?.askAgain(),
    stop: async () => {
      if (announcer) await withinTime(announcer.stop());
      close();
    },
    close,
  };

  function open(): void {
    reopening = undefined;
    const opened = openTransport(
      options.createSocket(),
      link,
      {
        received: (packet, { address }) => {
          if (packet.kind === 'query') announcer?.received(packet);
          else browser?.received(packet, address);
        },
        sent: () => fare(undefined),
        failed: (error) => fare(explain(error, link)),
        broken: (error) => {
          fare(explain(error, link));
          close();
          reopening = clock.after(reopenAfter, open);
        },
      },
      clock,
    );
    transport = opened;
    if (records) announcer = announce(records, opened, clock);
    if (options.browse) {
      const { isSettled, heard } = options;
      browser = browse({ transport: opened, clock, isSettled, heard });
    }
  }

  function close(): void {
    reopening?.();
    announcer?.silence();
    browser?.stop();
    transport?.close();
    reopening = announcer = browser = transport = undefined;
  }

  function fare(now: DiscoveryError | undefined): void {
    trouble = now;
    options.fared(now);
  }

  function withinTime(goodbye: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(goodbyeWithin, resolve);
      goodbye.then(() => {
        cancel();
        resolve();
      });
    });
  }
}

function explain(error: Error, { name }: InterfaceAddress): DiscoveryError {
  const code = 'code' in error ? String(error.code) : 'unknown';
  if (code === 'EADDRINUSE') {
    return new DiscoveryError(
      'port-taken',
      `Another program keeps UDP port ${mdnsPort} to itself, so that caches on the LAN can't be found: ` +
        `with avahi, set disallow-other-stacks=no; or name the caches in lan.peers.`,
      { cause: error },
    );
  }
  return new DiscoveryError(
    `multicast-${code}`,
    `Multicast DNS does not work on ${name} (${error.message}), so that caches on it can't be found: ` +
      `check its firewall and address, or name the caches in lan.peers.`,
    { cause: error },
  );
}
