import { isIP } from 'node:net';
import type { Dispatcher } from 'undici';
import request from 'undici/lib/api/api-request.js';
import type { BareAgent } from 'undici/lib/dispatcher/agent.js';
import { type CacheInfo, parseCacheInfo } from '../nix/cache-info.ts';
import { decodeContent } from '../nix/decode.ts';
import { FormatError } from '../nix/error.ts';
import { maxNarinfoBytes, type Narinfo, parseNarinfo } from '../nix/narinfo.ts';
import type { HashPart } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { Counters } from '../telemetry/counters.ts';
import { safeUrl } from '../telemetry/log.ts';
import { isLoopbackHost, isPublicAddress, unbracketed } from './address.ts';
import { arrived, type Tally } from './arrived.ts';
import { Connections } from './connections.ts';
import { SourceError } from './error.ts';
import { counted, discard, encodingOf, extentOf, header } from './http-body.ts';
import { elsewhereFault, httpFault, isUnreachable, statusError } from './http-fault.ts';
import type { Netrc } from './netrc.ts';
import { type Addresses, asLookup, Resolver } from './resolver.ts';
import { Silence, type SilenceOptions } from './silence.ts';
import type { NarAsking, Reach, Source, SourceBody } from './source.ts';

export interface HttpSourceOptions {
  /** Anything but scheme, host, port and path is left out. */
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
  /** `via` and `user-agent` headers by which agents recognise themselves and each other (I10). */
  readonly identity: Readonly<Record<'via' | 'user-agent', string>>;
  /** Asked for the source's own host only, and only when the operator named the source. */
  readonly netrc?: Netrc;
  readonly resolver?: Resolver;
  /** Called each time that something comes from the source. */
  readonly heard?: () => void;
  /** Called when a NAR that the source owes has not moved for 2 s, and each 2 s from then on. */
  readonly quiet?: () => void;
  readonly counters?: Counters | undefined;
  readonly clock?: Clock;
}

const quietFor = 2_000;
/** The part of the usual patience that is left at least with a body of an impatient reader. */
const impatience = 1 / 8;
const maxRedirects = 3;
/** For lookups, to one source. */
const connections = 32;
/** Each lookup of a far source that speaks no HTTP/2 occupies a connection for a long round trip. */
const farConnections = 96;
const maxCacheInfoBytes = 4_096;
const redirectStatus: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

type Kind = 'narinfo' | 'nar' | 'other';
type Headers = Readonly<Record<string, string>>;

/** A binary cache behind http or https: cache.nixos.org, a static directory behind nginx, harmonia, another agent. */
export class HttpSource implements Source {
  readonly id: string;
  readonly reach: Reach;
  readonly configured: boolean;
  readonly onThisMachine: boolean;
  readonly priority: number | undefined;
  readonly #base: URL;
  readonly #options: HttpSourceOptions;
  readonly #authorization: Headers;
  readonly #clock: Clock;
  readonly #resolver: Resolver;
  #connections: Connections;
  #lastHeard = 0;
  /** Of the lookups under way. */
  readonly #lookups = new Set<Silence>();

  constructor(options: HttpSourceOptions) {
    this.#options = options;
    this.#base = new URL(safeUrl(options.url));
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
    this.id = this.#base.href.replace(/\/$/, '');
    this.reach = options.reach;
    this.configured = options.configured;
    this.onThisMachine = isLoopbackHost(this.#base.hostname);
    this.priority = options.priority;
    this.#authorization = options.configured
      ? authorizationFor(unbracketed(this.#base.hostname), options.netrc)
      : {};
    this.#clock = options.clock ?? systemClock;
    this.#resolver = options.resolver ?? new Resolver();
    this.#connections = this.#connect();
  }

  async narinfo(hashPart: HashPart, signal: AbortSignal, via?: string): Promise<Narinfo | undefined> {
    const file = `${hashPart}.narinfo`;
    const text = await this.#small(file, maxNarinfoBytes, signal, via);
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

  async openNar(url: string, offset: number, signal: AbortSignal, asking?: NarAsking): Promise<SourceBody> {
    const body = await this.#open(url, offset, signal, 'nar', asking);
    if (body === undefined) throw new SourceError('gone', `${this.id} no longer has ${url}`);
    return body;
  }

  async openFile(path: string, signal: AbortSignal): Promise<SourceBody | undefined> {
    return await this.#open(path, 0, signal, 'other');
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
  async #small(
    path: string,
    maxBytes: number,
    signal: AbortSignal,
    via?: string,
  ): Promise<string | undefined> {
    const { lookupTimeout } = this.#options;
    const silence = this.#silence(path, lookupTimeout, {
      elsewhere: () => this.#lastHeard,
      total: 2 * lookupTimeout,
    });
    const asked = this.#clock.now();
    this.#lookups.add(silence);
    const either = AbortSignal.any([signal, silence.signal]);
    const headers = this.#chain(via);
    try {
      const response = await this.#get(this.#connections.lookups, path, headers, either);
      if (response.statusCode !== 200) {
        await discard(response, either);
        const error = statusError(this.id, path, response);
        if (error) throw error;
        return undefined;
      }
      const chunks: Uint8Array[] = [];
      let size = 0;
      const kind = path.endsWith('.narinfo') ? 'narinfo' : 'other';
      for await (const chunk of decodeContent(encodingOf(response), this.#heard(response, silence, kind))) {
        size += chunk.length;
        if (size > maxBytes)
          throw new SourceError('wrong', `${this.id}/${path} is larger than ${maxBytes} bytes`);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks).toString('utf8');
    } catch (error) {
      const silent = error instanceof SourceError && error.fault === 'silent';
      if (silent && this.#clock.now() - this.#lastHeard >= lookupTimeout) this.#connections.renewLookups();
      const cause = silence.signal.aborted ? silence.signal.reason : error;
      silence.abort(error);
      const fault = httpFault(cause, `${this.id}/${path}`, signal);
      if (fault instanceof SourceError && fault.fault === 'unreachable' && this.#lastHeard < asked)
        this.#giveUpLookups(fault);
      throw fault;
    } finally {
      silence.stop();
      this.#lookups.delete(silence);
    }
  }

  /** Over HTTP/2 all wait for one connection and, when it fails, for the next, one after the other: they end with the first. */
  #giveUpLookups(fault: SourceError): void {
    const waiting = [...this.#lookups];
    this.#lookups.clear();
    for (const lookup of waiting) lookup.abort(fault);
    if (waiting.length > 1) this.#connections.renewLookups();
  }

  async #open(
    path: string,
    offset: number,
    signal: AbortSignal,
    kind: Kind,
    { via, impatient = false }: NarAsking = {},
  ): Promise<SourceBody | undefined> {
    const what = `${this.id}/${path}`;
    const { stalledTimeout, quiet } = this.#options;
    const silence = this.#silence(path, stalledTimeout, quiet && { quiet: { every: quietFor, tell: quiet } });
    const either = AbortSignal.any([signal, silence.signal]);
    const headers: Headers = {
      ...this.#chain(via),
      ...(offset > 0 && { range: `bytes=${offset}-` }),
    };
    try {
      const response = await this.#get(this.#connections.transfers, path, headers, either);
      if (response.statusCode === 200 || response.statusCode === 206) {
        const extent = extentOf(response, offset, what);
        // Without ranges, asking again would cost all that came.
        if (impatient && extent.offset > 0) silence.shorten(impatience * stalledTimeout);
        const decoded = decodeContent(encodingOf(response), this.#heard(response, silence, kind));
        const chunks = guarded(counted(decoded, extent, what), what, signal, silence);
        return { ...extent, type: header(response, 'content-type'), chunks };
      }
      await discard(response, either);
      const error = statusError(this.id, path, response);
      if (error) throw error;
      silence.stop();
      return undefined;
    } catch (error) {
      silence.abort(error);
      throw httpFault(error, what, signal);
    }
  }

  /** One GET with up to three redirects: within the same host for anything, from upstreams to other hosts for NARs. */
  async #get(
    pool: BareAgent,
    path: string,
    headers: Headers,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const mayLeave = pool === this.#connections.transfers && this.reach === 'upstream';
    let url = new URL(path, this.#base);
    for (let redirects = 0; ; redirects++) {
      const isOwnHost = url.hostname === this.#base.hostname;
      const wanted = {
        origin: url.origin,
        path: url.pathname + url.search,
        method: 'GET' as const,
        headers: {
          ...this.#options.identity,
          'accept-encoding': 'identity',
          ...(isOwnHost && this.#authorization),
          ...headers,
        },
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      };
      const response = isOwnHost
        ? await this.#ask(pool, wanted)
        : await request.call(this.#connections.elsewhere, wanted).catch((error: unknown) => {
            throw elsewhereFault(error, `${this.id}, redirecting to ${url.host},`, signal);
          });
      this.#hears();
      if (!redirectStatus.has(response.statusCode)) return response;
      await discard(response, signal);
      if (redirects >= maxRedirects) throw this.#misled(url, 'once more, after three other redirects');
      url = await this.#redirected(url, header(response, 'location'), mayLeave);
    }
  }

  /** One request to the source's own host. One that is not where it was is asked once more where it is now. */
  async #ask(pool: BareAgent, wanted: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> {
    const host = unbracketed(this.#base.hostname);
    const from = this.#resolver.known(host);
    try {
      return await request.call(pool, wanted);
    } catch (error) {
      if (from === undefined || !isUnreachable(error) || !(await this.#resolver.moved(host, from)))
        throw error;
      return await request.call(pool, wanted);
    }
  }

  async #redirected(from: URL, location: string | undefined, mayLeave: boolean): Promise<URL> {
    const to = location === undefined ? null : URL.parse(location, from.href);
    if (to === null || (to.protocol !== 'http:' && to.protocol !== 'https:'))
      throw this.#misled(from, 'to what is no web address');
    if (from.protocol === 'https:' && to.protocol === 'http:')
      throw this.#misled(from, `to ${to.host}, giving up encryption`);
    if (to.hostname === this.#base.hostname) return to;
    if (!mayLeave)
      throw this.#misled(from, `to another host, ${to.host}: is this network waiting for a login?`);
    const address = unbracketed(to.hostname);
    if (isIP(address) !== 0 && !isPublicAddress(address) && (await this.#isPublic()))
      throw this.#misled(from, `to a private address, ${to.host}`);
    return to;
  }

  /** Whom a request is for, ourselves last (I10). */
  #chain(via: string | undefined): Headers {
    return via === undefined ? {} : { via: `${via}, ${this.#options.identity.via}` };
  }

  #misled(from: URL, where: string): SourceError {
    return new SourceError('captive', `${this.id} redirects ${from.pathname} ${where}`);
  }

  /** Whether this source itself is on the internet, so that it may not send us to addresses on the LAN or this machine. */
  async #isPublic(): Promise<boolean> {
    const host = unbracketed(this.#base.hostname);
    if (isLoopbackHost(host)) return false;
    if (isIP(host) !== 0) return isPublicAddress(host);
    return (await this.#resolver.addresses(host)).some(({ address }) => isPublicAddress(address));
  }

  /** The addresses of a host that a redirect leads to. */
  async #addressesElsewhere(host: string): Promise<Addresses> {
    const all = await this.#resolver.addresses(host);
    if (!(await this.#isPublic())) return all;
    const open = all.filter(({ address }) => isPublicAddress(address));
    if (open.length > 0) return open;
    throw new SourceError('captive', `${this.id} redirects to ${host}, which is at a private address`);
  }

  #silence(path: string, limit: number, more: Omit<SilenceOptions, 'limit' | 'error'> = {}): Silence {
    const error = (ms: number) =>
      new SourceError(ms < limit ? 'stalled' : 'silent', `${this.id} went silent over ${path} for ${ms} ms`);
    return new Silence(this.#clock, { limit, error, ...more });
  }

  async *#heard(response: Dispatcher.ResponseData, silence: Silence, kind: Kind): AsyncGenerator<Uint8Array> {
    for await (const chunk of arrived(response.body, this.#tally(kind))) {
      this.#hears();
      silence.pause();
      yield chunk;
      silence.resume();
    }
  }

  #tally(kind: Kind): Tally | undefined {
    const { counters } = this.#options;
    const giver = { id: this.id, origin: this.reach };
    return (
      counters && {
        received: (bytes) => counters.received(giver, kind, bytes),
        unread: (bytes) => kind === 'nar' && counters.wasted(bytes),
      }
    );
  }

  #hears(): void {
    this.#lastHeard = this.#clock.now();
    this.#options.heard?.();
  }

  #connect(): Connections {
    return new Connections({
      connectTimeout: this.#options.connectTimeout,
      lookup: asLookup((host) => this.#resolver.addresses(host)),
      lookupElsewhere: asLookup((host) => this.#addressesElsewhere(host)),
      maxForLookups:
        this.reach === 'upstream' && this.#base.protocol === 'http:' ? farConnections : connections,
    });
  }
}

function authorizationFor(host: string, netrc: Netrc | undefined): Headers {
  const found = netrc?.(host);
  if (found === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${found.login}:${found.password}`).toString('base64')}` };
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
