import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NarCache } from '../cache/nar-cache.ts';
import { printCacheInfo } from '../nix/cache-info.ts';
import { type Narinfo, printNarinfo } from '../nix/narinfo.ts';
import { type PublicKey, trustedSigner } from '../nix/signature.ts';
import { isHashPart } from '../nix/store-path.ts';
import { parseRange } from './range.ts';
import { say, send, upTo } from './reply.ts';
import type { Throttle } from './throttle.ts';

export interface LanFaceOptions {
  readonly storeDir: string;
  readonly cache: NarCache;
  /** Only paths signed by one of these are shown. */
  readonly shareKeys: ReadonlyMap<string, PublicKey>;
  readonly throttle: Throttle;
  /** This agent's name in `Via` headers (I10). */
  readonly instance: string;
  /** Answers for what is not in the cache directory, where this machine fetches for the LAN. */
  readonly pullThrough: ((request: IncomingMessage, response: ServerResponse) => Promise<void>) | undefined;
}

/** Requests of one address at a time: stock Nix opens 25 connections. */
const maxRequestsOfOne = 32;

/**
 * What other machines see: a plain, read-only binary cache of what is whole in the cache directory and signed by a shareable key, as
 * stored. Nothing here asks another machine unless `pullThrough` does.
 */
export class LanFace {
  readonly #options: LanFaceOptions;
  readonly #cacheInfo: Buffer;
  readonly #requestsOf = new Map<string, number>();

  constructor(options: LanFaceOptions) {
    this.#options = options;
    this.#cacheInfo = Buffer.from(
      printCacheInfo({ storeDir: options.storeDir, wantMassQuery: true, priority: 30 }),
    );
  }

  /** Answers one request; rejects only when its connection is to be cut. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const client = request.socket.remoteAddress ?? '';
    const running = this.#requestsOf.get(client) ?? 0;
    if (running >= maxRequestsOfOne)
      return say(response, 503, 'too many requests at once', { 'retry-after': '1' });
    this.#requestsOf.set(client, running + 1);
    response.once('close', () => {
      const left = (this.#requestsOf.get(client) ?? 1) - 1;
      if (left === 0) this.#requestsOf.delete(client);
      else this.#requestsOf.set(client, left);
    });
    await this.#answer(request, response);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return say(response, 405, 'only GET and HEAD', { allow: 'GET, HEAD' });
    }
    if (request.headers.via?.includes(this.#options.instance)) return say(response, 404, 'not here');
    const [, hashPart, file] =
      /^\/(?:([0-9a-z]{32})\.narinfo|(nar\/[0-9a-z]{52}\.nar(?:\.[a-z0-9]{1,8})?))$/i.exec(
        request.url ?? '',
      ) ?? [];
    if (request.url === '/nix-cache-info')
      return this.#small(request, response, 'text/x-nix-cache-info', this.#cacheInfo);
    if (hashPart !== undefined) return await this.#narinfo(request, response, hashPart);
    if (file !== undefined) return await this.#nar(request, response, file);
    await this.#elsewhere(request, response);
  }

  async #narinfo(request: IncomingMessage, response: ServerResponse, hashPart: string): Promise<void> {
    const narinfo = isHashPart(hashPart) ? await this.#options.cache.narinfo(hashPart) : undefined;
    if (narinfo === undefined || !this.#isShareable(narinfo)) return await this.#elsewhere(request, response);
    this.#small(
      request,
      response,
      'text/x-nix-narinfo',
      Buffer.from(printNarinfo(narinfo, this.#options.storeDir)),
    );
  }

  async #nar(request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
    const narinfo = await this.#shareableOwner(url);
    const file = narinfo && (await this.#options.cache.open(narinfo));
    if (file === undefined) return say(response, 404, 'not here');
    try {
      const range = parseRange(request.headers.range, file.size);
      if (range === 'unsatisfiable')
        return say(response, 416, 'behind the end', { 'content-range': `bytes */${file.size}` });
      const { start, end } = range ?? { start: 0, end: file.size };
      response.writeHead(range ? 206 : 200, {
        'content-type': 'application/x-nix-nar',
        'content-length': end - start,
        'accept-ranges': 'bytes',
        ...(range && { 'content-range': `bytes ${start}-${end - 1}/${file.size}` }),
      });
      if (request.method === 'HEAD') return void response.end();
      await send(response, this.#options.throttle.pace(upTo(file.read(start), end - start)));
    } finally {
      await file.close();
    }
  }

  /** A narinfo in the cache directory that names a file and may be shown. */
  async #shareableOwner(url: string): Promise<Narinfo | undefined> {
    for (const hashPart of await this.#options.cache.pathsOf(url)) {
      const narinfo = await this.#options.cache.narinfo(hashPart);
      if (narinfo?.url === url && this.#isShareable(narinfo)) return narinfo;
    }
    return undefined;
  }

  #isShareable(narinfo: Narinfo): boolean {
    return trustedSigner(narinfo, this.#options.storeDir, this.#options.shareKeys) !== undefined;
  }

  #small(request: IncomingMessage, response: ServerResponse, type: string, body: Buffer): void {
    response.writeHead(200, { 'content-type': type, 'content-length': body.length });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #elsewhere(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#options.pullThrough === undefined) return say(response, 404, 'not here');
    await this.#options.pullThrough(request, response);
  }
}
