import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { Changes } from './changes.ts';
import type { StatsEvent } from './event-schema.ts';
import { say } from './reply.ts';
import type { Report } from './report.ts';

const maxClients = 16;
/** A client that leaves so many bytes lying is too slow. */
const maxUnread = 1024 * 1024;
const tick = 250;
/** Both sides are to notice when the other is gone: after so many quiet ticks there is a comment. */
const quietTicks = 60;

/**
 * `GET /events`: a first snapshot, then what changes, four times a second; event-schema.ts says what it means. Without a client
 * nothing runs.
 */
export class Events {
  readonly #report: Pick<Report, 'stats' | 'recent'>;
  readonly #changes: Pick<Changes, 'begin' | 'take' | 'end'>;
  readonly #clock: Clock;
  readonly #clients = new Set<ServerResponse>();
  #quiet = 0;
  #cancel = () => {};

  constructor(
    report: Pick<Report, 'stats' | 'recent'>,
    changes: Pick<Changes, 'begin' | 'take' | 'end'>,
    clock: Clock = systemClock,
  ) {
    this.#report = report;
    this.#changes = changes;
    this.#clock = clock;
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    if (this.#clients.size >= maxClients) {
      say(response, 503, `${maxClients} clients listen already`, { 'retry-after': '10' });
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    response.once('close', () => this.#left(response));
    // Whoever listens already is told first what this snapshot has.
    this.#flush();
    response.write(asText({ type: 'snapshot', stats: this.#report.stats, recent: this.#report.recent() }));
    this.#clients.add(response);
    if (this.#clients.size > 1) return;
    this.#changes.begin();
    this.#schedule();
  }

  /** Ends all streams. */
  stop(): void {
    for (const response of this.#clients) response.end();
  }

  #left(response: ServerResponse): void {
    if (!this.#clients.delete(response) || this.#clients.size > 0) return;
    this.#cancel();
    this.#changes.end();
  }

  #schedule(): void {
    this.#cancel = this.#clock.after(tick, () => {
      this.#schedule();
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#clients.size === 0) return;
    const news = this.#changes.take();
    this.#quiet = news.length > 0 ? 0 : this.#quiet + 1;
    if (news.length > 0) this.#send(news.map(asText).join(''));
    else if (this.#quiet % quietTicks === 0) this.#send(': still here\n\n');
  }

  #send(text: string): void {
    for (const response of this.#clients)
      if (response.writableLength > maxUnread) response.destroy();
      else response.write(text);
  }
}

function asText(event: StatsEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
