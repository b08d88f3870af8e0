import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DiskCache } from '../cache/disk-cache.ts';
import { CacheError, systemCode } from '../cache/error.ts';
import type { CacheLog } from '../cache/log.ts';
import { decodeContent } from '../nix/decode.ts';
import { FormatError, NarrowcastError } from '../nix/error.ts';
import { maxNarinfoBytes, printNarinfo } from '../nix/narinfo.ts';
import type { PublicKey } from '../nix/signature.ts';
import { isHashPart, parseStorePath } from '../nix/store-path.ts';
import type { Counters, Refusal } from '../telemetry/counters.ts';
import { UploadError } from '../upload/error.ts';
import { longestQuestion, missingOf } from '../upload/missing.ts';
import { UploadedNarinfos } from '../upload/narinfos.ts';
import { UploadedNars } from '../upload/nars.ts';
import type { Uploader } from '../upload/token-file.ts';
import type { Tokens } from '../upload/tokens.ts';
import { Turns } from '../upload/turns.ts';
import { uploadedFile } from '../upload/uploaded-file.ts';
import { percentDecoded, say } from './reply.ts';
import { answerEarly, bodyOf, smallBody, spending } from './upload-body.ts';
import { partOf } from './upload-part.ts';

export interface UploadFaceOptions {
  readonly storeDir: string;
  readonly cache: DiskCache;
  readonly tokens: Pick<Tokens, 'uploader'>;
  /** Only what one of these has signed is taken. */
  readonly trustedKeys: ReadonlyMap<string, PublicKey>;
  /** How many store paths a root keeps. */
  readonly rootHistory: number;
  /** Silence after which an upload is cut off, in ms. */
  readonly stalled: number;
  readonly counters: Pick<Counters, 'uploaded' | 'uploadReceived' | 'uploadRefused'>;
  readonly log: Pick<CacheLog, 'info'>;
}

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly uploader: Uploader;
}

type Answer = (asked: Asked, ...parts: string[]) => Promise<void>;

const longestStorePath = 4096;
const challenge = { 'www-authenticate': 'Basic realm="narrowcast", charset="UTF-8"' };

/**
 * What uploaders may do on the LAN face: docs/decisions/upload-protocol.md. Stock Nix sends what Nix 2.8 to 2.36 send
 * (src/libstore/binary-cache-store.cc and http-binary-cache-store.cc).
 */
export class UploadFace {
  readonly #options: UploadFaceOptions;
  readonly #nars: UploadedNars;
  readonly #narinfos: UploadedNarinfos;
  readonly #routes: readonly (readonly [RegExp, Readonly<Record<string, Answer>>])[];

  constructor(options: UploadFaceOptions) {
    const { storeDir, cache, trustedKeys } = options;
    const turns = new Turns();
    const { intake } = cache;
    this.#options = options;
    this.#nars = new UploadedNars(intake, turns);
    this.#narinfos = new UploadedNarinfos({ storeDir, cache, intake, turns, trustedKeys, spending });
    const narinfo = { GET: this.#narinfo, HEAD: this.#narinfo, PUT: this.#putNarinfo };
    this.#routes = [
      [/^\/nix-cache-info$/, { PUT: this.#putInfo }],
      [/^\/([0-9a-z]{32})\.narinfo$/, narinfo],
      [/^\/(nar\/[0-9a-zA-Z.]{1,100})$/, { HEAD: this.#nar, PUT: this.#putNar }],
      [
        /^\/([0-9a-z]{32}\.ls|(?:log|debuginfo|realisations|build-trace-v2)\/[^?#]{1,512})$/,
        { PUT: this.#putOther },
      ],
      [/^\/missing$/, { POST: this.#missing }],
      [/^\/closure\/([0-9a-z]{32})$/, { GET: this.#closure, HEAD: this.#closure }],
      [/^\/roots$/, { GET: this.#roots }],
      [/^\/roots\/([^/?#]{1,300})$/, { PUT: this.#putRoot, DELETE: this.#deleteRoot }],
    ];
  }

  /** Whether this request was an uploader's; if so it is answered. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { method = '', url = '' } = request;
    const reads = method === 'GET' || method === 'HEAD';
    const [pattern, answers] = this.#routes.find(([pattern]) => pattern.test(url)) ?? [];
    const answer = answers?.[method];
    if (reads && answer === undefined) return false;
    const uploader = await this.#options.tokens.uploader(request.headers.authorization);
    if (uploader === undefined) {
      // What everybody may read is no secret from those whose token is wrong.
      if (reads && !isOnlyForUploaders(url)) return false;
      this.#options.counters.uploadRefused('unauthorized');
      answerEarly(response, 401, 'Uploads need a name and a token that this cache knows.', challenge);
      return true;
    }
    if (answer === undefined) {
      answerEarly(response, 405, 'This cache takes no such thing.', { allow: 'GET, HEAD' });
      return true;
    }
    const [, ...parts] = pattern?.exec(url) ?? [];
    const asked = { request, response, uploader };
    await answer(asked, ...parts).catch((error: unknown) => this.#refuse(asked, error));
    return true;
  }

  /** Tells the uploader why, unless they have left. */
  #refuse({ request, response, uploader }: Asked, error: unknown): void {
    const { status, message, offset } = refusalOf(error);
    // Who is told where to go on has not been refused.
    if (offset === undefined) {
      const { counters, log } = this.#options;
      counters.uploadRefused(reasons.get(status) ?? 'invalid');
      log.info({ uploader: uploader.name, path: request.url, status, reason: message }, 'upload refused');
    }
    if (response.destroyed || response.headersSent) response.destroy();
    else
      answerEarly(response, status, message, offset === undefined ? {} : { 'upload-offset': String(offset) });
  }

  async *#body(request: IncomingMessage, response: ServerResponse): AsyncGenerator<Uint8Array> {
    for await (const chunk of bodyOf(request, response, this.#options.stalled)) {
      this.#options.counters.uploadReceived(chunk.length);
      yield chunk;
    }
  }

  readonly #putInfo: Answer = async ({ request, response }) => {
    await smallBody(request, response, this.#options.stalled, maxNarinfoBytes);
    say(response, 200, 'this cache has its own');
  };

  /** What is here, whoever has signed it, and nothing else: Nix sends what this does not show. */
  readonly #narinfo: Answer = async ({ request, response }, hashPart = '') => {
    const narinfo = isHashPart(hashPart) ? await this.#options.cache.narinfo(hashPart) : undefined;
    if (narinfo === undefined) return say(response, 404, 'not here');
    const body = Buffer.from(printNarinfo(narinfo, this.#options.storeDir));
    response.writeHead(200, { 'content-type': 'text/x-nix-narinfo', 'content-length': body.length });
    response.end(request.method === 'HEAD' ? undefined : body);
  };

  readonly #putNarinfo: Answer = async ({ request, response, uploader }, hashPart = '') => {
    if (!isHashPart(hashPart)) throw new UploadError(400, 'That is no hash part of a store path.');
    const body = await smallBody(request, response, this.#options.stalled, maxNarinfoBytes);
    const isNews = await this.#narinfos.accept(hashPart, body.toString(), uploader);
    if (isNews) this.#options.counters.uploaded();
    say(response, isNews ? 201 : 200, isNews ? 'stored' : 'here already');
  };

  readonly #nar: Answer = async ({ response }, url = '') => {
    const file = uploadedFile(url);
    const presence = file === undefined ? { offset: 0 } : await this.#nars.presence(file);
    if (presence === 'whole') return void response.writeHead(200).end();
    const offset = presence.offset > 0 ? { 'upload-offset': String(presence.offset) } : {};
    response.writeHead(404, offset).end();
  };

  readonly #putNar: Answer = async ({ request, response }, url = '') => {
    const file = uploadedFile(url);
    if (file === undefined) throw new UploadError(400, 'That is not nar/<FileHash>.nar and an ending.');
    const isWhole = await this.#nars.receive(file, partOf(request.headers), () =>
      this.#body(request, response),
    );
    if (!request.complete) answerEarly(response, 200, 'here already');
    else say(response, isWhole ? 201 : 200, isWhole ? 'stored until its narinfo comes' : 'go on');
  };

  readonly #putOther: Answer = async ({ request, response }, encoded = '') => {
    const body = this.#body(request, response);
    const bytes = decodeContent(request.headers['content-encoding'] ?? '', body);
    await this.#options.cache.otherFiles.store(percentDecoded(encoded), bytes);
    say(response, 201, 'stored');
  };

  readonly #missing: Answer = async ({ request, response }) => {
    const { cache, stalled } = this.#options;
    const question = await smallBody(request, response, stalled, longestQuestion);
    const answer = await missingOf(question, cache.closures);
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': answer.length });
    response.end(answer);
  };

  readonly #closure: Answer = async ({ response }, hashPart = '') => {
    const { cache } = this.#options;
    const root = isHashPart(hashPart) ? await cache.narinfo(hashPart) : undefined;
    const lacking = root && (await cache.closures.lacks(root.storePath.hashPart));
    if (root === undefined || lacking !== undefined) return say(response, 404, 'not all of it is here');
    response.writeHead(204).end();
  };

  readonly #roots: Answer = async ({ response }) => {
    const roots = (await this.#options.cache.roots.list()).map(({ name, history }) => [
      name,
      history.map(({ time, path }) => ({ time: new Date(time).toISOString(), path })),
    ]);
    const body = Buffer.from(JSON.stringify(Object.fromEntries(roots)));
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  };

  readonly #putRoot: Answer = async ({ request, response }, name = '') => {
    const { cache, storeDir, rootHistory, stalled } = this.#options;
    const text = (await smallBody(request, response, stalled, longestStorePath)).toString().trim();
    const lacking = await cache.setRoot(percentDecoded(name), parseStorePath(text, storeDir), rootHistory);
    if (lacking !== undefined)
      throw new UploadError(409, `The path with the hash ${lacking} is not here: upload all of it first.`);
    say(response, 201, 'set');
  };

  readonly #deleteRoot: Answer = async ({ response }, name = '') => {
    if (await this.#options.cache.roots.remove(percentDecoded(name))) return say(response, 200, 'removed');
    say(response, 404, 'There is no such root.');
  };
}

function isOnlyForUploaders(url: string): boolean {
  return url === '/roots' || url.startsWith('/closure/');
}

/** Those that are not `invalid`. */
const reasons: ReadonlyMap<number, Refusal> = new Map([
  [403, 'untrusted'],
  [413, 'noRoom'],
  [499, 'cut'],
  [507, 'noRoom'],
]);

/** Never more than 4xx and 507: Nix 2.8 hangs when it repeats a PUT. Throws what is nobody's fault but ours. */
function refusalOf(error: unknown): Pick<UploadError, 'status' | 'message' | 'offset'> {
  if (error instanceof UploadError) return error;
  if (error instanceof FormatError || (error instanceof CacheError && error.code === 'bad-root'))
    return new UploadError(400, error.message);
  if (error instanceof NarrowcastError || systemCode(error) !== undefined)
    return new UploadError(507, 'The cache directory cannot take this now.', { cause: error });
  throw error;
}
