import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DiskCache } from '../cache/disk-cache.ts';
import { isForThisMachine } from './for-this-machine.ts';
import { say } from './reply.ts';

/**
 * `POST /gc` on the local face: reads the cache directory anew and removes what is above its limits; answers what went, as JSON. A page
 * on the web cannot make a browser send the header that it needs.
 */
export class CollectPage {
  readonly #cache: Pick<DiskCache, 'collect'>;
  #running: ReturnType<DiskCache['collect']> | undefined;

  constructor(cache: Pick<DiskCache, 'collect'>) {
    this.#cache = cache;
  }

  /** Answers a request for the page; undefined for any other. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void> | undefined {
    return request.url === '/gc' ? this.#answer(request, response) : undefined;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') return say(response, 405, 'only POST', { allow: 'POST' });
    if (!isForThisMachine(request) || request.headers['x-narrowcast'] !== 'gc')
      return say(response, 403, "use 'narrowcast gc'");
    this.#running ??= this.#cache.collect().finally(() => {
      this.#running = undefined;
    });
    const body = Buffer.from(`${JSON.stringify(await this.#running)}\n`);
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  }
}
