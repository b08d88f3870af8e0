import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { fromBase32, toBase32 } from '../../../agent/nix/base32.ts';

/** What the next request that matches is answered with, instead of what is right. */
export interface Fault {
  readonly method: string;
  readonly path: RegExp;
  /** Answers so, at once. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
  /** Cuts the connection after so many bytes of the body, which it keeps. */
  readonly cutAfter?: number;
  /** Reads nothing and answers nothing. */
  readonly hangs?: boolean;
  /** Loses the whole NARs that wait for their narinfos, and goes on as usual. */
  readonly forgets?: boolean;
}

/** A server of uploads in memory, which does what docs/decisions/upload-protocol.md says, but for the faults that a test orders. */
export class ScriptedServer implements AsyncDisposable {
  readonly narinfos = new Map<string, string>();
  readonly nars = new Map<string, Buffer>();
  readonly staged = new Map<string, Buffer>();
  readonly roots = new Map<string, string>();
  /** `METHOD /path`, in order. */
  readonly requests: string[] = [];
  readonly faults: Fault[] = [];
  /** Bytes of bodies that came. */
  received = 0;
  /** Resolves when it has cut a connection for the first time. */
  readonly cut: Promise<void>;
  readonly #cut = Promise.withResolvers<void>();
  readonly #server: Server = createServer((request, response) => {
    void this.#answer(request, response).catch(() => response.destroy());
  });
  #authorization: string | undefined;

  private constructor() {
    this.cut = this.#cut.promise;
  }

  /** @param port a free one when left out */
  static async start(authorization?: string, port = 0): Promise<ScriptedServer> {
    const server = new ScriptedServer();
    server.#authorization = authorization;
    await once(server.#server.listen(port, '127.0.0.1'), 'listening');
    return server;
  }

  get url(): URL {
    const address = this.#server.address();
    return new URL(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`);
  }

  /** The requests of one method, without it. */
  paths(method: string): string[] {
    return this.requests
      .filter((line) => line.startsWith(`${method} `))
      .map((line) => line.split(' ')[1] ?? '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    this.requests.push(`${method} ${url}`);
    const at = this.faults.findIndex((fault) => fault.method === method && fault.path.test(url));
    const [fault] = at < 0 ? [] : this.faults.splice(at, 1);
    if (fault?.hangs) return;
    if (fault?.forgets) this.nars.clear();
    if (fault?.status !== undefined)
      return void response.writeHead(fault.status, fault.headers).end(fault.text);
    if (this.#authorization !== undefined && request.headers.authorization !== this.#authorization)
      return void response.writeHead(401, { 'www-authenticate': 'Basic' }).end();
    const [, first, name = ''] = /^\/([^/]*)\/?(.*)$/.exec(url) ?? [];
    if (first === 'nar') return await this.#nar(name, request, response, fault?.cutAfter);
    const body = await bodyOf(request);
    this.received += body.length;
    if (first === 'missing') return void response.end(this.#missing(body));
    if (first === 'closure') return void response.writeHead(this.#has(name) ? 204 : 404).end();
    if (first === 'roots') this.roots.set(name, body.toString());
    else if (!this.#take(url.slice(1), body.toString())) return void response.writeHead(409).end('no NAR\n');
    response.writeHead(201).end();
  }

  async #nar(name: string, request: IncomingMessage, response: ServerResponse, cutAfter = Infinity) {
    const staged = this.staged.get(name) ?? Buffer.alloc(0);
    if (request.method === 'HEAD') {
      if (this.nars.has(name)) return void response.writeHead(200).end();
      return void response
        .writeHead(404, staged.length > 0 ? { 'upload-offset': String(staged.length) } : {})
        .end();
    }
    const start = Number(/^bytes (\d+)-/.exec(request.headers['content-range'] ?? '')?.[1] ?? 0);
    if (this.nars.has(name)) return void response.writeHead(200).end();
    if (start !== 0 && start !== staged.length)
      return void response.writeHead(409, { 'upload-offset': String(staged.length) }).end();
    let bytes = staged.subarray(0, start);
    for await (const chunk of request) {
      const taken = chunk.subarray(0, Math.max(0, cutAfter - (bytes.length - start)));
      this.received += chunk.length;
      bytes = Buffer.concat([bytes, taken]);
      this.staged.set(name, bytes);
      if (bytes.length - start < cutAfter) continue;
      this.#cut.resolve();
      return void request.socket.destroy();
    }
    this.staged.delete(name);
    const hash = toBase32(createHash('sha256').update(bytes).digest());
    if (!name.startsWith(hash)) return void response.writeHead(422).end('another hash\n');
    this.nars.set(name, bytes);
    response.writeHead(201).end();
  }

  /** Takes a narinfo only when all that it needs is there. */
  #take(file: string, text: string): boolean {
    const url = /^URL: nar\/(.*)$/m.exec(text)?.[1] ?? '';
    const self = /^StorePath: \/nix\/store\/(.*)$/m.exec(text)?.[1];
    const references = (/^References: (.*)$/m.exec(text)?.[1] ?? '').split(' ').filter((base) => base !== '');
    if (!this.nars.has(url)) return false;
    if (!references.every((base) => base === self || this.#has(base.slice(0, 32)))) return false;
    this.narinfos.set(file, text);
    return true;
  }

  #has(hashPart: string): boolean {
    return this.narinfos.has(`${hashPart}.narinfo`);
  }

  #missing(question: Buffer): Buffer {
    const answer = Buffer.alloc(Math.ceil(question.length / 64));
    const here = new Set(
      [...this.narinfos.keys()].map((file) =>
        Buffer.from(fromBase32(file.slice(0, 32)).subarray(0, 8)).toString('hex'),
      ),
    );
    for (let i = 0; i * 8 < question.length; i += 1) {
      const prefix = question.subarray(8 * i, 8 * i + 8).toString('hex');
      if (!here.has(prefix)) answer[i >> 3] = (answer[i >> 3] ?? 0) | (0x80 >> (i & 7));
    }
    return answer;
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
