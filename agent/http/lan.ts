import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DiskCache } from '../cache/disk-cache.ts';
import { printCacheInfo } from '../nix/cache-info.ts';
import { printNarinfo } from '../nix/narinfo.ts';
import { disk, type Finished } from '../telemetry/counters.ts';
import { Admission } from './admission.ts';
import { percentDecoded, say, send } from './reply.ts';
import { counting } from './request-count.ts';
import { Shareable, type ShareableParts } from './shareable.ts';
import { type Pacer, sendFile } from './stored-file.ts';

export interface LanFaceOptions extends ShareableParts {
  readonly cache: ShareableParts['cache'] & Pick<DiskCache, 'open'>;
  /** This agent's name in `Via` headers (I10). */
  readonly instance: string;
  /** Called when a request is finished that `pullThrough` did not take. */
  readonly finished?: (request: Finished) => void;
  /** Requests that are answered at once. */
  readonly maxRequests: number;
  /** Passes a NAR's bytes on to the client no faster than it may have them. */
  readonly pace: Pacer;
  /** Answers for what is not in the cache directory, where this machine fetches for the LAN. */
  readonly pullThrough: ((request: IncomingMessage, response: ServerResponse) => Promise<void>) | undefined;
  /** Answers uploaders, and tells whether it did, where this machine takes uploads. */
  readonly uploads?: ((request: IncomingMessage, response: ServerResponse) => Promise<boolean>) | undefined;
}

/**
 * What other machines see: a plain binary cache of what is whole in the cache directory and signed by a shareable key, as stored;
 * read-only unless `uploads` takes something. Nothing here asks another machine unless `pullThrough` does.
 */
export class LanFace {
  readonly #options: LanFaceOptions;
  readonly #cacheInfo: Buffer;
  readonly #admission: Admission;
  readonly #shareable: Shareable;

  constructor(options: LanFaceOptions) {
    this.#options = options;
    this.#cacheInfo = Buffer.from(
      printCacheInfo({ storeDir: options.storeDir, wantMassQuery: true, priority: 30 }),
    );
    this.#admission = new Admission(options.maxRequests);
    this.#shareable = new Shareable(options);
  }

  /** Answers one request; rejects only when its connection is to be cut. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#admission.admits(response))
      return say(response, 503, 'too many requests at once', { 'retry-after': '1' });
    if (await this.#options.uploads?.(request, response)) return;
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return say(response, 405, 'only GET and HEAD', { allow: 'GET, HEAD', connection: 'close' });
    if (request.headers.via?.includes(this.#options.instance)) return say(response, 404, 'not here');
    const url = request.url ?? '';
    if (url === '/nix-cache-info') return small(response, 'text/x-nix-cache-info', this.#cacheInfo);
    if (await this.#otherFile(url, response)) return;
    const isNar = url.startsWith('/nar/');
    const count = counting(request, isNar ? 'nar' : 'narinfo', this.#options.finished);
    const bytes = isNar
      ? await this.#nar(url.slice(1), request, response)
      : await this.#narinfo(url, response);
    if (bytes !== undefined)
      return count(response.writableEnded ? 'hit' : 'left', { path: url, giver: disk, bytes });
    if (this.#options.pullThrough === undefined) {
      say(response, 404, 'not here');
      return count('absent', { path: url });
    }
    await this.#options.pullThrough(request, response);
  }

  /** Resolves to the body's bytes; undefined when there is nothing to answer with. */
  async #narinfo(url: string, response: ServerResponse): Promise<number | undefined> {
    const [, hashPart = ''] = /^\/([0-9a-z]{32})\.narinfo$/.exec(url) ?? [];
    const narinfo = await this.#shareable.narinfo(hashPart);
    if (narinfo === undefined) return undefined;
    const text = Buffer.from(printNarinfo(narinfo, this.#options.storeDir));
    small(response, 'text/x-nix-narinfo', text);
    return response.req.method === 'HEAD' ? 0 : text.length;
  }

  async #nar(
    encoded: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<number | undefined> {
    const narinfo = await this.#shareable.ownerOf(percentDecoded(encoded));
    const file = narinfo && (await this.#options.cache.open(narinfo));
    return file && (await sendFile(request, response, file, this.#options));
  }

  /** Listings, logs and the like of shareable paths, as somebody put them into the directory. */
  async #otherFile(url: string, response: ServerResponse): Promise<boolean> {
    const path = percentDecoded(url.slice(1));
    const file = await this.#shareable.otherFile(path);
    if (file === undefined) return false;
    try {
      const type = path.startsWith('log/') ? 'text/plain; charset=utf-8' : 'application/json';
      response.writeHead(200, { 'content-type': type, 'content-length': file.size });
      if (response.req.method === 'HEAD') response.end();
      else await send(response, this.#options.pace(response, file.read(0)));
      return true;
    } finally {
      await file.close();
    }
  }
}

function small(response: ServerResponse, type: string, body: Buffer): void {
  response.writeHead(200, { 'content-type': type, 'content-length': body.length });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
