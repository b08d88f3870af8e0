import type { IncomingMessage, ServerResponse } from 'node:http';
import { printCacheInfo } from '../nix/cache-info.ts';
import { type Narinfo, printNarinfo } from '../nix/narinfo.ts';
import { isHashPart } from '../nix/store-path.ts';
import type { FetchAhead } from '../relay/fetch-ahead.ts';
import { type KnownPath, withFileOf } from '../relay/known-path.ts';
import type { LookAhead } from '../relay/look-ahead.ts';
import { type Found, type Lookup, memory } from '../relay/lookup.ts';
import type { OtherFiles } from '../relay/other-files.ts';
import type { Finished } from '../telemetry/counters.ts';
import { NarAnswers, type NarAnswersOptions } from './nar-answers.ts';
import { gone, say, send } from './reply.ts';
import { counting, resultFrom } from './request-count.ts';
import { parseNarName, servedAs } from './served-as.ts';

export interface LocalFaceOptions extends NarAnswersOptions {
  readonly storeDir: string;
  readonly lookup: Lookup;
  readonly lookAhead: LookAhead;
  readonly fetchAhead?: Pick<FetchAhead, 'told' | 'asked'>;
  readonly otherFiles: OtherFiles;
  /** This agent's name in `Via` headers: a request that carries it has come round in a circle (I10). */
  readonly instance: string;
  /** NARs that are in the cache directory are served as they are there, not decoded. */
  readonly asStored: boolean;
  /** Called when a request for a narinfo, a NAR or another file of a cache is finished. */
  readonly finished?: (request: Finished) => void;
}

/** Some thirty agents, one behind the other. */
const maxVia = 1024;

type Answer = (
  request: IncomingMessage,
  response: ServerResponse,
  ...parts: string[]
) => void | Promise<void>;

/**
 * What the Nix of this machine talks to. A narinfo is answered 200 or 404 and nothing else (I1). NARs are served decoded, or as stored,
 * under a URL that carries the path's hash part and the file's hash, so that it means the same bytes for ever and the agent need not
 * remember having given it out.
 */
export class LocalFace {
  readonly #options: LocalFaceOptions;
  readonly #cacheInfo: Buffer;
  readonly #nars: NarAnswers;
  readonly #narinfos = new WeakMap<KnownPath, { text: Buffer; url: string }>();
  readonly #routes: readonly (readonly [RegExp, Answer])[];

  constructor(options: LocalFaceOptions) {
    this.#options = options;
    this.#nars = new NarAnswers(options);
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
    if (request.method === 'GET') this.#options.fetchAhead?.told(known);
  };

  #found(hashPart: string, via: string | undefined): Found | Promise<Found> {
    if (!isHashPart(hashPart)) return { known: undefined, giver: undefined };
    const { lookup } = this.#options;
    const known = lookup.remembered(hashPart);
    return known ? { known, giver: memory } : lookup.search(hashPart, via);
  }

  /** The narinfo as this face answers it: our own URL, nothing that nobody has checked. */
  #render(known: KnownPath): Buffer | undefined {
    const file = servedAs(known, this.#options.asStored);
    if (file === undefined) return undefined;
    const rendered = this.#narinfos.get(known);
    if (rendered?.url === file.url) return rendered.text;
    const narinfo: Narinfo = { ...withFileOf(known.narinfo, file), extra: [] };
    const text = Buffer.from(printNarinfo(narinfo, this.#options.storeDir));
    this.#narinfos.set(known, { text, url: file.url });
    return text;
  }

  readonly #nar: Answer = async (request, response, hashPart = '', hash = '', extension = '') => {
    const count = counting(request, 'nar', this.#options.finished);
    const name = parseNarName(hash, extension);
    const known =
      name && isHashPart(hashPart)
        ? await this.#options.lookup.find(hashPart, request.headers.via)
        : undefined;
    if (
      known === undefined ||
      name === undefined ||
      (name.kind !== 'stored' && name.narHash !== known.narHash)
    ) {
      say(response, 404, 'not here');
      return count('absent', { path: hashPart });
    }
    if (request.method === 'GET') this.#options.fetchAhead?.asked(known);
    if (name.kind === 'stored') return await this.#nars.stored(request, response, known, name, count);
    if (name.kind === 'decoded') return await this.#nars.decoded(request, response, known, count);
    await this.#nars.opaque(request, response, known, name.compression, count);
  };

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

async function* nothing(): AsyncGenerator<Uint8Array> {}
