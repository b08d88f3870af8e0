import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import request from 'undici/lib/api/api-request.js';
import Agent, { type BareAgent } from 'undici/lib/dispatcher/agent.js';
import { fromBase32 } from '../nix/base32.ts';
import type { StorePath } from '../nix/store-path.ts';
import { asLookup, Resolver } from '../source/resolver.ts';
import { Silence } from '../source/silence.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import { version } from '../version.ts';
import { PushError } from './error.ts';
import { failure, faultOf, offsetIn } from './http-failure.ts';

export interface UploadServerOptions {
  /** http or https; its path ends in `/`. */
  readonly url: URL;
  readonly credentials?: { readonly login: string; readonly password: string } | undefined;
  /** Longest wait for a connection, in ms. */
  readonly connectTimeout: number;
  /** Longest time without a byte taken by the network, in ms. */
  readonly stalledTimeout: number;
  /** Connections at once. */
  readonly connections: number;
  readonly clock?: Clock;
}

/** Some of a file that the server has, or all of it. */
export type Staged = number | 'whole';

/** Part of a NAR's file on its way. */
export interface NarPart {
  /** `nar/<file hash>.nar.zst` */
  readonly url: string;
  /** Where the part begins: it goes on to the file's end. */
  readonly offset: number;
  /** Bytes of the whole file. */
  readonly size: number;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** The server first makes sure of what came: on a slow disk that takes a while, in ms. */
const answersWithin = 600_000;
const maxAnswer = 64 * 1024;
/** Bytes of a hash part that a question names. */
const prefixBytes = 8;
/** Paths that one question may name. */
export const maxQuestion = 100_000;

interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal: AbortSignal;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/**
 * A binary cache that takes uploads as docs/decisions/upload-protocol.md says. Everything throws PushError, `unreachable`, `cut` and
 * `busy` among them, and nothing is tried again here.
 */
export class UploadServer {
  /** As people may see it: without user and password. */
  readonly name: string;
  readonly #base: URL;
  readonly #options: UploadServerOptions;
  readonly #clock: Clock;
  readonly #agent: BareAgent;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: UploadServerOptions) {
    const { url, credentials, connectTimeout: timeout, connections, clock = systemClock } = options;
    const resolver = new Resolver();
    this.#options = options;
    this.#base = url;
    this.name = `${url.protocol}//${url.host}${url.pathname.replace(/\/$/, '')}`;
    this.#clock = clock;
    this.#agent = new Agent({
      allowH2: false,
      connections,
      keepAliveTimeout: 30_000,
      connect: { timeout, lookup: asLookup((host) => resolver.addresses(host)) },
    });
    const basic =
      credentials && Buffer.from(`${credentials.login}:${credentials.password}`).toString('base64');
    this.#headers = {
      'user-agent': `narrowcast/${version}`,
      ...(basic !== undefined && { authorization: `Basic ${basic}` }),
    };
  }

  /** Whether the path is there with all that it refers to. */
  async hasClosure({ hashPart }: StorePath, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#ask('GET', `closure/${hashPart}`, { signal });
    if (answer.status === 204) return true;
    if (answer.status === 404) return false;
    throw this.#failure(answer, 'the question for a closure');
  }

  /** Those of the paths, at most 100,000, that are not there. */
  async missing(paths: readonly StorePath[], signal: AbortSignal): Promise<StorePath[]> {
    const body = Buffer.concat(paths.map(({ hashPart }) => fromBase32(hashPart).subarray(0, prefixBytes)));
    // Without a Content-Type, which would be application/octet-stream, as RFC 9110, section 8.3, has it: every byte counts here.
    const answer = await this.#ask('POST', 'missing', { body, signal });
    if (answer.status === 404 || answer.status === 405 || answer.status === 501) {
      const advice = 'is it a narrowcast with upload.tokens-file? To others, nix copy --to uploads.';
      throw new PushError('refused', `${this.name} takes no uploads by narrowcast push: ${advice}`);
    }
    if (answer.status !== 200) throw this.#failure(answer, 'the question for what is missing');
    if (answer.body.length !== Math.ceil(paths.length / 8))
      throw new PushError('refused', `${this.name} answers the question for what is missing with nonsense.`);
    return paths.filter((_, i) => ((answer.body[i >> 3] ?? 0) & (0x80 >> (i & 7))) !== 0);
  }

  /** How much of a file the server has. */
  async staged(url: string, signal: AbortSignal): Promise<Staged> {
    const answer = await this.#ask('HEAD', url, { signal });
    if (answer.status === 200) return 'whole';
    if (answer.status === 404) return offsetIn(answer.headers) ?? 0;
    throw this.#failure(answer, url);
  }

  /** Sends a file from `offset` to its end. Throws PushError `offset` when the server has another part of it. */
  async putNar({ url, offset, size, bytes }: NarPart, signal: AbortSignal): Promise<void> {
    const headers = {
      'content-type': 'application/x-nix-nar',
      'content-length': String(size - offset),
      ...(offset > 0 && { 'content-range': `bytes ${offset}-${size - 1}/${size}` }),
    };
    const { stalledTimeout: limit } = this.#options;
    const stalled = () => new PushError('cut', `${this.name} took nothing of ${url} for ${limit} ms.`);
    const silence = new Silence(this.#clock, { limit, error: stalled });
    const either = AbortSignal.any([signal, silence.signal]);
    try {
      const body = Readable.from(untilTaken(bytes, silence), { objectMode: false });
      this.#judge(await this.#request('PUT', url, { headers, body, signal: either }), url);
    } finally {
      silence.stop();
    }
  }

  async putNarinfo(name: string, text: string, signal: AbortSignal): Promise<void> {
    const headers = { 'content-type': 'text/x-nix-narinfo' };
    this.#judge(await this.#ask('PUT', name, { headers, body: text, signal }), name);
  }

  /** Keeps the path under a name, in place of what the name stood for. */
  async setRoot(name: string, path: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#ask('PUT', `roots/${encodeURIComponent(name)}`, { body: path, signal });
    this.#judge(answer, `the root ${name}`);
  }

  /** What the server keeps under names: the JSON of `GET /roots`. */
  async roots(signal: AbortSignal): Promise<string> {
    const answer = await this.#ask('GET', 'roots', { signal });
    this.#judge(answer, 'the list of roots');
    return answer.body.toString();
  }

  /** Lets go of what is kept under a name; whether there was such a root. */
  async removeRoot(name: string, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#ask('DELETE', `roots/${encodeURIComponent(name)}`, { signal });
    if (answer.status === 404) return false;
    this.#judge(answer, `the root ${name}`);
    return true;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #judge(answer: Answer, what: string): void {
    if (![200, 201, 204].includes(answer.status)) throw this.#failure(answer, what);
  }

  #failure({ status, headers, body }: Answer, what: string): PushError {
    return failure(this.name, what, { status, headers, text: body.toString() });
  }

  async #ask(method: Dispatcher.HttpMethod, path: string, { body = '', headers = {}, signal }: Ask) {
    return await this.#request(method, path, { headers, body: body.length === 0 ? null : body, signal });
  }

  async #request(
    method: Dispatcher.HttpMethod,
    path: string,
    { headers, body, signal }: { headers: object; body: Body; signal: AbortSignal },
  ): Promise<Answer> {
    const url = new URL(path, this.#base);
    try {
      const response = await request.call(this.#agent, {
        origin: url.origin,
        path: url.pathname,
        method,
        headers: { ...this.#headers, ...headers },
        body,
        signal,
        headersTimeout: answersWithin,
        bodyTimeout: this.#options.stalledTimeout,
      });
      return { status: response.statusCode, headers: response.headers, body: await whole(response.body) };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw faultOf(error, `${this.name}/${path}`);
    }
  }
}

type Body = string | Uint8Array | Readable | null;

/** Once all is handed to the network, the server is waited for with another patience. */
async function* untilTaken(bytes: AsyncIterable<Uint8Array>, silence: Silence): AsyncGenerator<Uint8Array> {
  silence.pause();
  for await (const chunk of bytes) {
    silence.resume();
    yield chunk;
    silence.pause();
  }
  silence.stop();
}

async function whole(body: Dispatcher.ResponseData['body']): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxAnswer)
      throw new PushError('refused', `An answer of more than ${maxAnswer} bytes cannot be right.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
