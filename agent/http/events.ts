import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { StatsEvent } from './event-schema.ts';
import { say } from './reply.ts';
import type { Report } from './report.ts';

const maxClients = 16;
/** A client that leaves so many bytes lying is too slow. */
const maxUnread = 1024 * 1024;
/** So that both sides notice when the other is gone, in ms. */
const pingEvery = 15_000;

/** `GET /events`: a first snapshot, then what changes; event-schema.ts says what it means. */
export class Events {
  readonly #report: Report;
  readonly #clock: Clock;
  readonly #clients = new Set<ServerResponse>();
  #cancel = () => {};

  constructor(report: Report, clock: Clock = systemClock) {
    this.#report = report;
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
    response.write(asText({ type: 'snapshot', stats: this.#report.stats, recent: this.#report.recent() }));
    this.#clients.add(response);
    if (this.#clients.size === 1) this.#ping();
  }

  /** Ends all streams. */
  stop(): void {
    for (const response of this.#clients) response.end();
  }

  #left(response: ServerResponse): void {
    this.#clients.delete(response);
    if (this.#clients.size === 0) this.#cancel();
  }

  #ping(): void {
    this.#cancel = this.#clock.after(pingEvery, () => {
      this.#send(': still here\n\n');
      this.#ping();
    });
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
