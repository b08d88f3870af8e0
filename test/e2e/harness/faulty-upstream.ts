import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';
import { type Fixture, type FixturePath, hashPartOf, pathNamed } from '../../fixtures/closure.ts';
import { type Answer, type Exchange, honest, loginPage, page } from './answers.ts';
import { type Fault, type FaultName, faults } from './faults.ts';
import { portOf } from './ports.ts';
import { readSigningKey, type SigningKey } from './spoiled-narinfo.ts';

export type RequestKind = 'cacheInfo' | 'narinfo' | 'nar' | 'other';

/** A request as it came in, answered or not. */
export interface UpstreamRequest {
  readonly kind: RequestKind;
  readonly method: string;
  readonly path: string;
  /** Whether it asked for the target's narinfo or NAR. */
  readonly aboutTarget: boolean;
  readonly range?: string;
}

/** Where and how a {@link FaultyUpstream} is. */
export interface FaultyUpstreamOptions {
  /** The path that the fault is about: `small-b` of the small fixture, unless another is given. */
  readonly target?: FixturePath;
  /** An address of this machine; 127.0.0.1 unless another is given. */
  readonly address?: string;
  /** A free one unless one is given. */
  readonly port?: number;
}

/** A binary cache over a fixture's directory that misbehaves in one way, and counts. */
export class FaultyUpstream implements AsyncDisposable {
  /** Every request so far, in order. */
  readonly requests: UpstreamRequest[] = [];
  /** How many requests came to the other host, where redirects lead. */
  requestsElsewhere = 0;

  readonly #fixture: Fixture;
  readonly #target: FixturePath;
  readonly #fault: Fault;
  readonly #key: SigningKey;
  readonly #address: string;
  readonly #asked = new Map<Answer, number>();
  readonly #server: Server = createServer((request, response) => this.#answer(request, response));
  readonly #elsewhere: Server = createServer((request, response) => this.#answerElsewhere(request, response));
  #port = 0;
  #portElsewhere = 0;

  private constructor(fixture: Fixture, fault: Fault, target: FixturePath, key: SigningKey, address: string) {
    this.#fixture = fixture;
    this.#fault = fault;
    this.#target = target;
    this.#key = key;
    this.#address = address;
  }

  static async start(
    fixture: Fixture,
    fault: FaultName | Fault,
    { target = pathNamed(fixture, 'small-b'), address = '127.0.0.1', port = 0 }: FaultyUpstreamOptions = {},
  ): Promise<FaultyUpstream> {
    const key = await readSigningKey(fixture.secretKeyFile);
    const misbehaviour = typeof fault === 'string' ? faults[fault] : fault;
    const upstream = new FaultyUpstream(fixture, misbehaviour, target, key, address);
    await once(upstream.#server.listen(port, address), 'listening');
    await once(upstream.#elsewhere.listen(0, '127.0.0.2'), 'listening');
    upstream.#port = portOf(upstream.#server);
    upstream.#portElsewhere = portOf(upstream.#elsewhere);
    if (upstream.#fault.refused) upstream.#server.close();
    return upstream;
  }

  get port(): number {
    return this.#port;
  }

  /** `http://ADDRESS:PORT` */
  get url(): string {
    return `http://${this.#address}:${this.#port}`;
  }

  /** How many requests of each kind came in. */
  counts(): Record<RequestKind, number> {
    const counts = { cacheInfo: 0, narinfo: 0, nar: 0, other: 0 };
    for (const { kind } of this.requests) counts[kind] += 1;
    return counts;
  }

  /** How many requests of each kind were about the target. */
  targetCounts(): { narinfo: number; nar: number } {
    const counts = { narinfo: 0, nar: 0 };
    for (const { kind, aboutTarget } of this.requests) {
      if (aboutTarget && (kind === 'narinfo' || kind === 'nar')) counts[kind] += 1;
    }
    return counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#server, this.#elsewhere]) {
      if (server.listening) server.close();
      server.closeAllConnections();
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(request.url ?? '/');
    const kind = kindOf(path);
    const aboutTarget =
      path === `/${hashPartOf(this.#target.path)}.narinfo` || path === `/${this.#target.url}`;
    const { range } = request.headers;
    this.requests.push({
      kind,
      method: request.method ?? '',
      path,
      aboutTarget,
      ...(range === undefined ? {} : { range }),
    });

    const answer = this.#answerFor(kind, aboutTarget);
    const nth = (this.#asked.get(answer) ?? 0) + 1;
    this.#asked.set(answer, nth);
    await answer(await this.#exchange(request, response, path, nth));
  }

  #answerFor(kind: RequestKind, aboutTarget: boolean): Answer {
    const { cacheInfo, narinfo, everyNarinfo, nar, everything } = this.#fault;
    if (everything) return everything;
    if (cacheInfo && kind === 'cacheInfo') return cacheInfo;
    if (everyNarinfo && kind === 'narinfo') return everyNarinfo;
    if (narinfo && kind === 'narinfo' && aboutTarget) return narinfo;
    if (nar && kind === 'nar' && aboutTarget) return nar;
    return honest;
  }

  async #answerElsewhere(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requestsElsewhere += 1;
    const path = decodeURIComponent(request.url ?? '/');
    const answer = path === '/login' ? page(loginPage) : honest;
    await answer(await this.#exchange(request, response, path, 1));
  }

  async #exchange(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    nth: number,
  ): Promise<Exchange> {
    return {
      request,
      response,
      nth,
      fixture: this.#fixture,
      target: this.#target,
      key: this.#key,
      elsewhere: `http://127.0.0.2:${this.#portElsewhere}`,
      genuine: await readFile(join(this.#fixture.dir, normalize(path))).catch(() => undefined),
      stopListening: () => this.#server.close(),
    };
  }
}

function kindOf(path: string): RequestKind {
  if (path === '/nix-cache-info') return 'cacheInfo';
  if (path.endsWith('.narinfo')) return 'narinfo';
  return path.startsWith('/nar/') ? 'nar' : 'other';
}
