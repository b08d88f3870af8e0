import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import * as v from 'valibot';
import { Dashboard } from '../../../agent/http/dashboard.ts';
import { eventSchema, type StatsEvent } from '../../../agent/http/event-schema.ts';
import { type Recent, type Stats, statsSchema } from '../../../agent/http/stats-schema.ts';
import { portOf } from './ports.ts';

/** What the agent of a scene knows. */
export interface SceneFigures {
  readonly stats: Stats;
  readonly recent: Recent;
}

/** The dashboard as an agent serves it, with figures and events that a test makes up. */
export class DashboardScene implements AsyncDisposable {
  figures: SceneFigures;
  /** Whether /events is there; without it the page has to ask for /stats. */
  hasEvents = true;
  readonly #dashboard = new Dashboard();
  readonly #listeners = new Set<ServerResponse>();
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));

  private constructor(figures: SceneFigures) {
    this.figures = figures;
  }

  static async start(figures: SceneFigures, port = 0): Promise<DashboardScene> {
    const scene = new DashboardScene(figures);
    await once(scene.#server.listen(port, '127.0.0.1'), 'listening');
    return scene;
  }

  get port(): number {
    return portOf(this.#server);
  }

  get url(): string {
    return `http://localhost:${this.port}`;
  }

  /** Tells every page; throws when no agent would say that. */
  tell(event: StatsEvent): void {
    for (const response of this.#listeners) sendEvent(response, event);
  }

  /** As if the agent had been killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { stats, recent } = this.figures;
    const { pathname } = new URL(request.url ?? '/', this.url);
    if (pathname === '/stats') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ ...v.parse(statsSchema, stats), recent }));
    } else if (pathname === '/events' && this.hasEvents) {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      this.#listeners.add(response);
      response.once('close', () => this.#listeners.delete(response));
      sendEvent(response, { type: 'snapshot', stats, recent });
    } else {
      const answered = this.#dashboard.handle(request, response);
      if (answered === undefined) response.writeHead(404).end();
      await answered;
    }
  }
}

function sendEvent(response: ServerResponse, event: StatsEvent): void {
  const data = JSON.stringify(v.parse(eventSchema, event));
  response.write(`event: ${event.type}\ndata: ${data}\n\n`);
}
