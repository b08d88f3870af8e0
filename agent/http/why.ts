import type { IncomingMessage, ServerResponse } from 'node:http';
import { type HashPart, isHashPart } from '../nix/store-path.ts';
import { type ExplainOptions, explain } from '../relay/explain.ts';
import { isForThisMachine } from './for-this-machine.ts';
import { gone, say } from './reply.ts';

/** Each asks every source, so few at a time are enough. */
const maxAtOnce = 4;

/** `GET /why/HASHPART` on the local face: who has a path, from where it would come, and why not from the others, as JSON. */
export class WhyPage {
  readonly #options: ExplainOptions;
  #running = 0;

  constructor(options: ExplainOptions) {
    this.#options = options;
  }

  /** Answers a request for the page; undefined for any other. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void> | undefined {
    const hashPart = /^\/why\/([0-9a-z]{32})$/.exec(request.url ?? '')?.[1];
    return hashPart !== undefined && isHashPart(hashPart)
      ? this.#answer(request, response, hashPart)
      : undefined;
  }

  async #answer(request: IncomingMessage, response: ServerResponse, hashPart: HashPart): Promise<void> {
    if (request.method !== 'GET') return say(response, 405, 'only GET', { allow: 'GET' });
    if (!isForThisMachine(request)) return say(response, 403, 'ask for this page at localhost');
    if (this.#running >= maxAtOnce)
      return say(response, 503, `${maxAtOnce} such questions are open already`, { 'retry-after': '10' });
    this.#running += 1;
    try {
      const explanation = await explain(this.#options, hashPart, gone(response));
      const body = Buffer.from(`${JSON.stringify(explanation)}\n`);
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': body.length,
        'cache-control': 'no-store',
      });
      response.end(body);
    } finally {
      this.#running -= 1;
    }
  }
}
