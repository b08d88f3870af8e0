import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Events } from './events.ts';
import { isForThisMachine } from './for-this-machine.ts';
import { say } from './reply.ts';
import type { Report } from './report.ts';
import type { Stats } from './stats-schema.ts';

/** The pages of the local face that tell how the agent is: `GET /stats`, also with `?since=`, `GET /events` and `GET /metrics`. For this machine only. */
export class StatsPages {
  readonly #report: Report;
  readonly #events: Events;

  constructor(report: Report, events: Events) {
    this.#report = report;
    this.#events = events;
  }

  /** Answers a request for one of the pages; undefined for any other. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void> | undefined {
    const { url = '' } = request;
    const since = /^\/stats(?:\?since=([^&#]*))?$/.exec(url);
    if (since === null && url !== '/events' && url !== '/metrics') return undefined;
    return this.#answer(request, response, since);
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    since: RegExpExecArray | null,
  ): Promise<void> {
    const { url, method } = request;
    if (method !== 'GET' && method !== 'HEAD')
      say(response, 405, 'only GET and HEAD', { allow: 'GET, HEAD' });
    else if (!isForThisMachine(request)) say(response, 403, 'ask for this page at localhost');
    else if (since !== null) this.#stats(response, since[1]);
    else if (url === '/events') this.#events.serve(request, response);
    else await this.#metrics(response);
  }

  /** What it takes is loaded when it is first wanted: most agents are never asked. */
  async #metrics(response: ServerResponse): Promise<void> {
    const { metricsText } = await import('./metrics-text.ts');
    const text = await metricsText(this.#report.stats, this.#report.times);
    whole(response, 'text/plain; version=0.0.4; charset=utf-8', text);
  }

  #stats(response: ServerResponse, since: string | undefined): void {
    const from = since === undefined ? undefined : momentOf(since);
    if (since === undefined) json(response, this.#report.stats);
    else if (from === undefined)
      say(response, 400, 'since= takes a time as in 2026-11-21T15:04:05Z, or 2026-11-21');
    else json(response, this.#since(from));
  }

  #since(from: number): Stats {
    const { history, ...stats } = this.#report.stats;
    // A day that began before that moment goes on after it.
    const days = history.filter(({ day }) => Date.parse(`${day}T23:59:59.999`) >= from);
    return { ...stats, history: days, recent: this.#report.recent(from) };
  }
}

function json(response: ServerResponse, value: unknown): void {
  whole(response, 'application/json', `${JSON.stringify(value)}\n`);
}

function whole(response: ServerResponse, type: string, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(200, {
    'content-type': type,
    'content-length': body.length,
    'cache-control': 'no-store',
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/** In ms since the epoch; undefined for what is no time. */
function momentOf(text: string): number | undefined {
  const moment = /^\d{4}-\d{2}-\d{2}/.test(text)
    ? Date.parse(text.replaceAll(/%3A/gi, ':').replaceAll(/%2B/gi, '+'))
    : Number.NaN;
  return Number.isNaN(moment) ? undefined : moment;
}
