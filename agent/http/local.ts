import type { IncomingMessage, ServerResponse } from 'node:http';
import { printCacheInfo } from '../nix/cache-info.ts';
import { type Compression, fileExtension, isDecodable } from '../nix/compression.ts';
import { isNarHash, type NarHash } from '../nix/hash.ts';
import { type Narinfo, printNarinfo } from '../nix/narinfo.ts';
import { type HashPart, isHashPart } from '../nix/store-path.ts';
import { NarUnavailable } from '../relay/error.ts';
import type { KnownPath } from '../relay/known-path.ts';
import type { LookAhead } from '../relay/look-ahead.ts';
import { type Found, type Lookup, memory } from '../relay/lookup.ts';
import { opaqueOffers, openOpaque } from '../relay/opaque.ts';
import type { OtherFiles } from '../relay/other-files.ts';
import type { Transfers } from '../relay/transfers.ts';
import type { Finished } from '../telemetry/counters.ts';
import { parseRange } from './range.ts';
import { gone, say, send, upTo } from './reply.ts';
import { type Count, counting, messageOf, resultFrom } from './request-count.ts';

export interface LocalFaceOptions {
  readonly storeDir: string;
  readonly lookup: Lookup;
  readonly lookAhead: LookAhead;
  readonly transfers: Transfers;
  readonly otherFiles: OtherFiles;
  /** This agent's name in `Via` headers: a request that carries it has come round in a circle (I10). */
  readonly instance: string;
  /** Called when a request for a narinfo, a NAR or another file of a cache is finished. */
  readonly finished?: (request: Finished) => void;
  /** Passes a NAR's bytes on no faster than the client may have them; by default as fast as it takes them. */
  readonly pace?: (response: ServerResponse, chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
}

/** Some thirty agents, one behind the other. */
const maxVia = 1024;

type Answer = (
  request: IncomingMessage,
  response: ServerResponse,
  ...parts: string[]
) => void | Promise<void>;

const opaqueExtensions = new Map<string, Compression>(
  (['bzip2', 'lzip', 'lz4', 'compress'] as const).map((compression) => [
    fileExtension(compression),
    compression,
  ]),
);

/**
 * What the Nix of this machine talks to. A narinfo is answered 200 or 404 and nothing else (I1). NARs are served decoded under a URL
 * that carries both hashes, so that it means the same bytes for ever and the agent need not remember having given it out.
 */
export class LocalFace {
  readonly #options: LocalFaceOptions;
  readonly #cacheInfo: Buffer;
  readonly #narinfos = new WeakMap<KnownPath, { text: Buffer; compression: Compression }>();
  readonly #routes: readonly (readonly [RegExp, Answer])[];

  constructor(options: LocalFaceOptions) {
    this.#options = options;
    this.#cacheInfo = Buffer.from(
      printCacheInfo({ storeDir: options.storeDir, wantMassQuery: true, priority: 30 }),
    );
    this.#routes = [
      [/^\/([0-9a-z]{32})\.narinfo$/, this.#narinfo],
      [/^\/nar\/([0-9a-z]{32})-([0-9a-z]{52})\.nar(\.[a-zA-Z0-9]+)?$/, this.#nar],
      [/^\/nix-cache-info$/, this.#info],
      [
        /^\/((?:[0-9a-z]{32}\.ls|(?:log|realisations|debuginfo|build-trace-v2)\/[^?#]{1,512}))$/,
        this.#otherFile,
      ],
      [/^\/healthz$/, (_, response) => say(response, 200, 'ok')],
    ];
  }

  /** Answers one request; rejects when that cannot be done, or not to the end. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? '/';
    for (const [pattern, answer] of this.#routes) {
      const match = pattern.exec(url);
      if (match === null) continue;
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return say(response, 405, 'only GET and HEAD', { allow: 'GET, HEAD' });
      const { via = '' } = request.headers;
      if (via.includes(this.#options.instance) || via.length > maxVia)
        return say(response, 404, 'this request has come round in a circle');
      return await answer(request, response, ...match.slice(1));
    }
    say(response, 404, 'not here');
  }

  readonly #info: Answer = (_, response) => {
    response.writeHead(200, {
      'content-type': 'text/x-nix-cache-info',
      'content-length': this.#cacheInfo.length,
    });
    response.end(this.#cacheInfo);
  };

  readonly #narinfo: Answer = async (request, response, hashPart = '') => {
    const count = counting(request, 'narinfo', this.#options.finished);
    const { known, giver, rejection } = await this.#found(hashPart, request.headers.via);
    const text = known && this.#render(known);
    if (known === undefined || text === undefined) {
      say(response, 404, 'not here');
      return count(rejection === undefined ? 'absent' : 'rejected', { path: hashPart, reason: rejection });
    }
    response.writeHead(200, { 'content-type': 'text/x-nix-narinfo', 'content-length': text.length });
    response.end(text);
    const bytes = request.method === 'HEAD' ? 0 : text.length;
    count(resultFrom(giver), { path: known.narinfo.storePath.base, giver, bytes });
    this.#options.lookAhead.from(known);
  };

  #found(hashPart: string, via: string | undefined): Found | Promise<Found> {
    if (!isHashPart(hashPart)) return { known: undefined, giver: undefined };
    const { lookup } = this.#options;
    const known = lookup.remembered(hashPart);
    return known ? { known, giver: memory } : lookup.search(hashPart, via);
  }

  /** The narinfo as this face answers it: decoded NARs, our own URL, nothing that nobody has checked. */
  #render(known: KnownPath): Buffer | undefined {
    const compression = servedAs(known);
    if (compression === undefined) return undefined;
    const rendered = this.#narinfos.get(known);
    if (rendered?.compression === compression) return rendered.text;
    const { fileHash: _, fileSize: __, extra: ___, ...trusted } = known.narinfo;
    const url = `nar/${known.hashPart}-${known.narHash}.nar${fileExtension(compression)}`;
    const narinfo: Narinfo = { ...trusted, url, compression, extra: [] };
    const text = Buffer.from(printNarinfo(narinfo, this.#options.storeDir));
    this.#narinfos.set(known, { text, compression });
    return text;
  }

  readonly #nar: Answer = async (request, response, hashPart = '', narHash = '', extension = '') => {
    const { via } = request.headers;
    const count = counting(request, 'nar', this.#options.finished);
    const known =
      isHashPart(hashPart) && isNarHash(narHash) ? await this.#path(hashPart, narHash, via) : undefined;
    const opaque = opaqueExtensions.get(extension);
    if (known === undefined || (extension !== '' && opaque === undefined)) {
      say(response, 404, 'not here');
      return count('absent', { path: hashPart });
    }
    await (opaque === undefined
      ? this.#decodedNar(request, response, known, count)
      : this.#opaqueNar(request, response, known, opaque, count));
  };

  /** The path whose NAR a URL names; undefined when it is not known with this NarHash. */
  async #path(hashPart: HashPart, narHash: NarHash, via: string | undefined): Promise<KnownPath | undefined> {
    const known = await this.#options.lookup.find(hashPart, via);
    return known?.narHash === narHash ? known : undefined;
  }

  async #decodedNar(
    request: IncomingMessage,
    response: ServerResponse,
    known: KnownPath,
    count: Count,
  ): Promise<void> {
    const path = known.narinfo.storePath.base;
    const size = known.narinfo.narSize;
    const range = parseRange(request.headers.range, size);
    if (range === 'unsatisfiable')
      return say(response, 416, 'behind the end', { 'content-range': `bytes */${size}` });
    const { start, end } = range ?? { start: 0, end: size };
    const headers = {
      'content-type': 'application/x-nix-nar',
      'content-length': end - start,
      'accept-ranges': 'bytes',
      // RFC 9211; `narrowcast fetch` passes over what is a hit.
      'cache-status': known.stored ? 'narrowcast; hit' : 'narrowcast; fwd=uri-miss',
      ...(range && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
    };
    const status = range ? 206 : 200;
    if (request.method === 'HEAD') return void response.writeHead(status, headers).end();
    const reading = await this.#options.transfers
      .open(known, start, gone(response), request.headers.via)
      .catch((error) => {
        count(response.destroyed ? 'left' : 'absent', { path, reason: messageOf(error) });
        throw error;
      });
    const ends = (result: Finished['result'], reason?: string) => {
      const { giver, given } = reading;
      count(result, { path, giver, bytes: Math.min(given, end - start), reason });
    };
    response.writeHead(status, headers);
    try {
      await this.#send(response, upTo(reading.chunks(), end - start));
      ends(response.writableEnded ? resultFrom(reading.giver) : 'left');
    } catch (error) {
      ends(response.destroyed ? 'left' : 'failed', messageOf(error));
      throw error;
    } finally {
      reading.close();
    }
  }

  async #opaqueNar(
    request: IncomingMessage,
    response: ServerResponse,
    known: KnownPath,
    compression: Compression,
    count: Count,
  ): Promise<void> {
    const path = known.narinfo.storePath.base;
    if (!opaqueOffers(known).some(({ narinfo }) => narinfo.compression === compression)) {
      say(response, 404, 'not here');
      return count('absent', { path });
    }
    const type = { 'content-type': 'application/x-nix-nar' };
    if (request.method === 'HEAD') return void response.writeHead(200, type).end();
    const start = Number(/^bytes=(\d{1,15})-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const opened = await openOpaque(known, compression, start, gone(response), request.headers.via).catch(
      (error) => {
        count(response.destroyed ? 'left' : 'absent', { path, reason: messageOf(error) });
        throw error;
      },
    );
    const { size, chunks, giver } = opened;
    if (size !== undefined) {
      response.writeHead(start > 0 ? 206 : 200, {
        ...type,
        'accept-ranges': 'bytes',
        'content-length': size - start,
        ...(start > 0 && { 'content-range': `bytes ${start}-${size - 1}/${size}` }),
      });
    } else if (start === 0) response.writeHead(200, type);
    // A part of something without a size cannot be named, and Nix takes the whole for the part.
    else throw new NarUnavailable(known.narinfo.storePath.base);
    try {
      const bytes = await this.#send(response, chunks);
      count(response.writableEnded ? resultFrom(giver) : 'left', { path, giver, bytes });
    } catch (error) {
      count('failed', { path, giver, reason: messageOf(error) });
      throw error;
    }
  }

  #send(response: ServerResponse, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const { pace = (_, whole) => whole } = this.#options;
    return send(response, pace(response, chunks));
  }

  readonly #otherFile: Answer = async (request, response, path = '') => {
    const count = counting(request, 'other', this.#options.finished);
    const file = await this.#options.otherFiles.open(path, gone(response));
    if (file === undefined) {
      say(response, 404, 'not here');
      return count('absent', { path });
    }
    response.writeHead(200, {
      'content-type': file.type ?? 'application/octet-stream',
      ...(file.size !== undefined && { 'content-length': file.size }),
    });
    const bytes = await send(response, request.method === 'HEAD' ? nothing() : file.chunks);
    count(response.writableEnded ? 'hit' : 'left', { path, bytes });
  };
}

/** How a NAR is served: decoded where that can be done, else as a source has it; undefined when nobody has it. */
function servedAs(known: KnownPath): Compression | undefined {
  const decodable = known.offers.some(
    ({ narinfo, source }) => source.usable && isDecodable(narinfo.compression),
  );
  return known.stored || decodable ? 'none' : opaqueOffers(known)[0]?.narinfo.compression;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
