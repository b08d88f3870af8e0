import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import * as v from 'valibot';
import { onTestFinished } from 'vitest';
import { eventSchema, type StatsEvent } from '../../../agent/http/event-schema.ts';

/** A client of `GET /events`, until the test has ended. */
export class EventReader {
  /** All that came so far, in the documented form, strictly: what the schema does not name is a fault. */
  readonly events: StatsEvent[] = [];
  readonly response: IncomingMessage;
  /** What was wrong with an event. */
  fault: unknown;
  #text = '';

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.#take(text));
    response.on('error', () => {});
  }

  static async open(port: number, headers: Record<string, string> = {}): Promise<EventReader> {
    const request = get({ host: '127.0.0.1', port, path: '/events', headers, agent: false });
    onTestFinished(() => void request.destroy());
    const [response] = await once(request, 'response');
    return new EventReader(response);
  }

  ofType<T extends StatsEvent['type']>(type: T): Extract<StatsEvent, { type: T }>[] {
    if (this.fault !== undefined) throw this.fault;
    return this.events.filter((event): event is Extract<StatsEvent, { type: T }> => event.type === type);
  }

  #take(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      const block = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      try {
        this.#add(block);
      } catch (error) {
        this.fault ??= error;
      }
    }
  }

  #add(block: string): void {
    if (block.startsWith(':')) return;
    const [, type, data = ''] = /^event: ([a-z-]+)\ndata: (.*)$/.exec(block) ?? [];
    const json: unknown = JSON.parse(data);
    const event = v.parse(eventSchema, json);
    if (event.type !== type || JSON.stringify(sorted(event)) !== JSON.stringify(sorted(json)))
      throw new Error(`not as the schema says: ${block}`);
    this.events.push(event);
  }
}

/** With the keys of all objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
