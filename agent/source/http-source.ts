import { isIP } from 'node:net';
import { Agent, type Dispatcher } from 'undici';
import { type CacheInfo, parseCacheInfo } from '../nix/cache-info.ts';
import { type ContentEncoding, decodeContent } from '../nix/decode.ts';
import { FormatError } from '../nix/error.ts';
import { maxNarinfoBytes, type Narinfo, parseNarinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import { isLoopbackHost, isPublicAddress, unbracketed } from './address.ts';
import { SourceError } from './error.ts';
import { httpFault, statusError } from './http-fault.ts';
import type { Netrc } from './netrc.ts';
import { Resolver } from './resolver.ts';
import { Silence } from './silence.ts';
import type { Reach, Source, SourceBody } from './source.ts';

export interface HttpSourceOptions {
  readonly url: URL;
  readonly reach: Reach;
  readonly configured: boolean;
  readonly priority?: number | undefined;
  readonly storeDir: string;
  /** Longest wait for a connection, in ms. */
  readonly connectTimeout: number;
  /** Longest silence of the source while it owes a narinfo, in ms. */
  readonly lookupTimeout: number;
  /** Longest silence in a NAR's body, in ms. */
  readonly stalledTimeout: number;
  /** `Via` and `User-Agent` by which agents recognise themselves and each other (I10). */
  readonly identity: Readonly<Record<string, string>>;
  readonly netrc?: Netrc;
  readonly resolver?: Resolver;
  readonly clock?: Clock;
}

const maxRedirects = 3;
const maxCacheInfoBytes = 4_096;
const redirectStatus: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

type Response = Dispatcher.ResponseData & { readonly url: URL };

/** A binary cache behind http or https: cache.nixos.org, a static directory behind nginx, harmonia, another agent. */
export class HttpSource implements Source {
  readonly id: string;
  readonly reach: Reach;
  readonly configured: boolean;
  readonly onThisMachine: boolean;
  readonly priority: number | undefined;
  readonly #base: URL;
  readonly #options: HttpSourceOptions;
  readonly #clock: Clock;
  readonly #resolver: Resolver;
  #connections: Connections;
  #lastHeard = 0;

  constructor(options: HttpSourceOptions) {
    this.#options = options;
    this.#base = new URL(options.url);
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
    this.id = this.#base.href.replace(/\/$/, '');
    this.reach = options.reach;
    this.configured = options.configured;
    this.onThisMachine = isLoopbackHost(this.#base.hostname);
    this.priority = options.priority;
    this.#clock = options.clock ?? systemClock;
    this.#resolver = options.resolver ?? new Resolver();
    this.#connections = this.#connect();
  }

  async narinfo(hashPart: HashPart, signal: AbortSignal): Promise<Narinfo | undefined> {
    const file = `${hashPart}.narinfo`;
    const text = await this.#small(file, maxNarinfoBytes, signal);
    if (text === undefined) return undefined;
    const narinfo = readable(() => parseNarinfo(text, this.#options.storeDir), `${this.id}/${file}`);
    if (narinfo.storePath.hashPart === hashPart) return narinfo;
    throw new SourceError('wrong', `${this.id}/${file} describes another path, ${narinfo.storePath.base}`);
  }

  async probe(signal: AbortSignal): Promise<CacheInfo> {
    const text = await this.#small('nix-cache-info', maxCacheInfoBytes, signal);
    if (text === undefined)
      throw new SourceError(
        'captive',
        `${this.id} has no nix-cache-info: it is no Nix cache, or it wants credentials from netrc-file`,
      );
    return readable(() => parseCacheInfo(text), `${this.id}/nix-cache-info`);
  }

  async openNar(url: string, offset: number, signal: AbortSignal): Promise<SourceBody> {
    const body = await this.#open(url, offset, signal);
    if (body === undefined) throw new SourceError('gone', `${this.id} no longer has ${url}`);
    return body;
  }

  async openFile(path: string, signal: AbortSignal): Promise<SourceBody | undefined> {
    return await this.#open(path, 0, signal);
  }

  async dropConnections(): Promise<void> {
    const old = this.#connections;
    this.#connections = this.#connect();
    await old.destroy();
  }

  async close(): Promise<void> {
    await this.#connections.destroy();
  }

  /** A small text file, whole; undefined when the source says that it has none. */
  async #small(path: string, maxBytes: number, signal: AbortSignal): Promise<string | undefined> {
    const { lookupTimeout } = this.#options;
    const silence = this.#silence(path, lookupTimeout, {
      elsewhere: () => this.#lastHeard,
      total: 2 * lookupTimeout,
    });
    try {
      const response = await this.#get(
        this.#connections.lookups,
        path,
        {},
        AbortSignal.any([signal, silence.signal]),
      );
      if (response.statusCode !== 200) {
        await discard(response);
        const error = statusError(this.id, path, response);
        if (error) throw error;
        return undefined;
      }
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of decodeContent(encodingOf(response), this.#heard(response, silence))) {
        size += chunk.length;
        if (size > maxBytes)
          throw new SourceError('wrong', `${this.id}/${path} is larger than ${maxBytes} bytes`);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks).toString('utf8');
    } catch (error) {
      throw httpFault(error, `${this.id}/${path}`, signal);
    } finally {
      silence.stop();
    }
  }

  async #open(path: string, offset: number, signal: AbortSignal): Promise<SourceBody | undefined> {
    const silence = this.#silence(path, this.#options.stalledTimeout);
    const what = `${this.id}/${path}`;
    try {
      const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
      const response = await this.#get(
        this.#connections.transfers,
        path,
        headers,
        AbortSignal.any([signal, silence.signal]),
      );
      const extent =
        response.statusCode === 200 || response.statusCode === 206
          ? extentOf(response, offset, what)
          : undefined;
      if (extent === undefined) {
        silence.stop();
        await discard(response);
        const error = statusError(this.id, path, response);
        if (error) throw error;
        return undefined;
      }
      const heard = this.#heard(response, silence);
      return {
        ...extent,
        type: header(response, 'content-type'),
        chunks: guarded(decodeContent(encodingOf(response), heard), what, signal, silence),
      };
    } catch (error) {
      silence.stop();
      throw httpFault(error, what, signal);
    }
  }

  /** One GET with up to three redirects: within the same host for anything, to other hosts for NARs only. */
  async #get(
    pool: Agent,
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Response> {
    let url = new URL(path, this.#base);
    for (let redirects = 0; ; redirects++) {
      const response = await pool.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: 'GET',
        headers: {
          ...this.#options.identity,
          'accept-encoding': 'identity',
          ...this.#authorization(url),
          ...headers,
        },
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      this.#lastHeard = this.#clock.now();
      if (!redirectStatus.has(response.statusCode)) return Object.assign(response, { url });
      await discard(response);
      url = await this.#redirected(url, header(response, 'location'), pool, redirects);
      if (url.hostname !== this.#base.hostname) pool = this.#connections.elsewhere;
    }
  }

  async #redirected(from: URL, location: string | undefined, pool: Agent, redirects: number): Promise<URL> {
    const to = location === undefined ? null : URL.parse(location, from.href);
    const say = (why: string) =>
      new SourceError('captive', `${this.id} redirects ${from.pathname} to ${to?.host ?? 'nowhere'}, ${why}`);
    if (to === null || (to.protocol !== 'http:' && to.protocol !== 'https:'))
      throw say('which is no web address');
    if (redirects >= maxRedirects) throw say('after too many other redirects');
    if (from.protocol === 'https:' && to.protocol === 'http:') throw say('giving up encryption');
    if (to.hostname === this.#base.hostname) return to;
    if (pool === this.#connections.lookups) throw say('another host: is this network waiting for a login?');
    if (isPublicAddress(unbracketed(to.hostname))) return to;
    const literal = isIP(unbracketed(to.hostname)) !== 0 || isLoopbackHost(to.hostname);
    if (literal && (await this.#isPublic())) throw say('a private address');
    return to;
  }

  /** Whether this source itself is on the internet, so that it may not send us to addresses on the LAN or this machine. */
  async #isPublic(): Promise<boolean> {
    const host = unbracketed(this.#base.hostname);
    if (isLoopbackHost(host)) return false;
    if (isIP(host) !== 0) return isPublicAddress(host);
    return (await this.#resolver.addresses(host)).some(({ address }) => isPublicAddress(address));
  }

  #authorization(url: URL): Record<string, string> {
    const found = this.#options.netrc?.(unbracketed(url.hostname));
    if (found === undefined) return {};
    return { authorization: `Basic ${Buffer.from(`${found.login}:${found.password}`).toString('base64')}` };
  }

  #silence(path: string, limit: number, more: { elsewhere?: () => number; total?: number } = {}): Silence {
    const error = () => new SourceError('silent', `${this.id} went silent over ${path} for ${limit} ms`);
    return new Silence(this.#clock, { limit, error, ...more });
  }

  async *#heard(response: Response, silence: Silence): AsyncGenerator<Uint8Array> {
    for await (const chunk of response.body) {
      this.#lastHeard = this.#clock.now();
      silence.pause();
      yield chunk;
      silence.resume();
    }
  }

  #connect(): Connections {
    const { connectTimeout } = this.#options;
    const options = { allowH2: false, keepAliveTimeout: 30_000, maxHeaderSize: 16_384 };
    const lookup = this.#resolver.lookup;
    const publicOnly: typeof lookup = (host, how, done) => {
      lookup(host, { ...how, all: true }, async (error, addresses) => {
        const all = Array.isArray(addresses) ? addresses : [];
        const barred =
          !error &&
          (await this.#isPublic().catch(() => true)) &&
          !all.every(({ address }) => isPublicAddress(address));
        if (barred)
          done(Object.assign(new Error(`${host} is at a private address`), { code: 'ECONNREFUSED' }), '', 0);
        else lookup(host, how, done);
      });
    };
    return new Connections(
      new Agent({ ...options, connections: 32, connect: { timeout: connectTimeout, lookup } }),
      new Agent({ ...options, connections: 32, connect: { timeout: connectTimeout, lookup } }),
      new Agent({ ...options, connections: 32, connect: { timeout: connectTimeout, lookup: publicOnly } }),
    );
  }
}

/** NARs have connections of their own, so that a lookup never queues behind them. */
class Connections {
  readonly lookups: Agent;
  readonly transfers: Agent;
  /** To the hosts that redirects lead to. */
  readonly elsewhere: Agent;

  constructor(lookups: Agent, transfers: Agent, elsewhere: Agent) {
    this.lookups = lookups;
    this.transfers = transfers;
    this.elsewhere = elsewhere;
  }

  async destroy(): Promise<void> {
    await Promise.all([this.lookups.destroy(), this.transfers.destroy(), this.elsewhere.destroy()]);
  }
}

async function* guarded(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
  signal: AbortSignal,
  silence: Silence,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    throw httpFault(error, what, signal);
  } finally {
    silence.stop();
  }
}

/** Where the body of a 200 or 206 begins in the file, and how large the file is. */
function extentOf(
  response: Response,
  offset: number,
  what: string,
): { offset: number; size: number | undefined } {
  const encoded = encodingOf(response) !== 'identity';
  if (response.statusCode === 200) {
    const length = header(response, 'content-length');
    return { offset: 0, size: length === undefined || encoded ? undefined : Number(length) };
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header(response, 'content-range') ?? '');
  if (range === null || Number(range[1]) !== offset || encoded) {
    throw new SourceError(
      'wrong',
      `${what} was asked for from byte ${offset} on and answered with another range`,
    );
  }
  return { offset, size: range[2] === '*' ? undefined : Number(range[2]) };
}

function encodingOf(response: Response): ContentEncoding {
  return (header(response, 'content-encoding') ?? 'identity').trim().toLowerCase();
}

function header(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Frees the connection of a response whose body nobody wants, however long it is. */
async function discard(response: Dispatcher.ResponseData): Promise<void> {
  await response.body.dump({ limit: 65_536 }).catch(() => {});
}

function readable<T>(parse: () => T, what: string): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FormatError)
      throw new SourceError('captive', `${what} is not what its name says: ${error.message}`, {
        cause: error,
      });
    throw error;
  }
}
