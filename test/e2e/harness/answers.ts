/** Ways in which an HTTP cache can answer a request, well or badly, from which `faults.ts` composes its table. */
import { spawn } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { brotliCompress, gzip, zstdCompress } from 'node:zlib';
import type { Fixture, FixturePath } from '../../fixtures/closure.ts';
import type { SigningKey } from './spoiled-narinfo.ts';

/** One request, and what an answer to it may be made from. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** How many requests this answer has had, this one included. */
  readonly nth: number;
  readonly fixture: Fixture;
  /** The path whose narinfo and NAR the fault is about. */
  readonly target: FixturePath;
  /** The key that clients trust. */
  readonly key: SigningKey;
  /** Another host (by its address), where `/login` is a page and everything else is the honest cache. */
  readonly elsewhere: string;
  /** What the cache's directory holds under the requested name; undefined for nothing. */
  readonly genuine: Buffer | undefined;
  /** Refuses all connections from now on. */
  stopListening(): void;
}

export type Answer = (exchange: Exchange) => void | Promise<void>;

export const loginPage = '<!DOCTYPE html><title>Welcome</title><p>Please log in to use the network.</p>\n';

/** As nginx would: 404 or the file, with ranges. */
export const honest: Answer = (exchange) => {
  if (exchange.genuine === undefined) return status(404)(exchange);
  serve(exchange, exchange.genuine);
};

/** The file, but ranges are neither advertised nor honoured. */
export const whole: Answer = (exchange) =>
  serve(exchange, exchange.genuine ?? Buffer.alloc(0), { advertise: false, honour: false });

/** The file, with ranges honoured but not advertised. */
export const unadvertised: Answer = (exchange) =>
  serve(exchange, exchange.genuine ?? Buffer.alloc(0), { advertise: false });

/** A bare status code. */
export function status(code: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return ({ response }) => {
    const body = code === 204 ? '' : `${code}\n`;
    response.writeHead(code, { 'Content-Length': body.length, 'Content-Type': 'text/plain', ...headers });
    response.end(body);
  };
}

/** 200 and a text that has nothing to do with the question. */
export function page(body: string, type = 'text/html'): Answer {
  return ({ response }) => {
    response.writeHead(200, { 'Content-Length': Buffer.byteLength(body), 'Content-Type': type });
    response.end(body);
  };
}

/** 302 to `/login`, or to the same path, on another host. */
export function redirect(where: 'login' | 'same'): Answer {
  return (exchange) => {
    const path = where === 'login' ? '/login' : (exchange.request.url ?? '/');
    return status(302, { Location: exchange.elsewhere + path })(exchange);
  };
}

/** The first `count` requests get one answer, all later ones another. */
export function first(count: number, answer: Answer, then: Answer = honest): Answer {
  return (exchange) => (exchange.nth <= count ? answer : then)(exchange);
}

/** The narinfo, rewritten. */
export function edited(edit: (narinfo: string, exchange: Exchange) => string): Answer {
  return (exchange) =>
    page(edit(exchange.genuine?.toString() ?? '', exchange), 'text/x-nix-narinfo')(exchange);
}

/** The file with one bit in its middle turned over. */
export const flipped: Answer = (exchange) => {
  const bytes = Buffer.from(exchange.genuine ?? '');
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  serve(exchange, bytes);
};

/** Ends the connection (FIN) without a word. */
export const close: Answer = ({ request }) => {
  request.socket.end();
};

/** Resets the connection (RST) without a word. */
export const reset: Answer = ({ request }) => {
  request.socket.resetAndDestroy();
};

/** Says nothing and keeps the connection. */
export const hang: Answer = () => {};

/** Says nothing for a while, then answers. */
export function after(ms: number, answer: Answer): Answer {
  return async (exchange) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return answer(exchange);
  };
}

/** Headers at once, and then one byte of the file every second. */
export const byteASecond: Answer = ({ request, response, genuine = Buffer.alloc(0) }) => {
  let offset = 0;
  response.writeHead(200, { 'Content-Length': genuine.length });
  const timer = setInterval(() => {
    response.write(genuine.subarray(offset, offset + 1));
    offset += 1;
    if (offset < genuine.length) return;
    clearInterval(timer);
    response.end();
  }, 1_000);
  request.socket.once('close', () => clearInterval(timer));
};

/** A line of text, again and again, until 256 MiB have been read: more than anybody should, and not too much for the machine. */
export function endless(line: string): Answer {
  return async ({ request, response }) => {
    const block = Buffer.from(line.repeat(1_000));
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    const closed = new Promise<void>((resolve) => request.socket.once('close', () => resolve()));
    for (let sent = 0; sent < 256 * 1024 * 1024 && !request.socket.destroyed; sent += block.length) {
      if (response.write(block)) continue;
      await Promise.race([new Promise<void>((resolve) => response.once('drain', resolve)), closed]);
    }
    response.end();
  };
}

export interface Cut {
  /** Whether `Accept-Ranges: bytes` is said; true by default. */
  readonly advertise?: boolean;
  /** Whether a Range request gets the rest; true by default. */
  readonly honour?: boolean;
  /** What tells the client how much to expect: Content-Length by default; 'close' is nothing but the connection's end. */
  readonly framing?: 'length' | 'chunked' | 'close';
  /** What comes after the half: FIN by default. */
  readonly ending?: 'end' | 'reset' | 'hang';
  readonly encoding?: ContentEncoding;
}

/** Half of what was asked for, and then nothing more. */
export function cut({
  advertise = true,
  honour = true,
  framing = 'length',
  ending = 'end',
  encoding,
}: Cut = {}): Answer {
  return async ({ request, genuine = Buffer.alloc(0) }) => {
    const all = encoding === undefined ? genuine : await encode(genuine, encoding);
    const from = honour ? rangeStart(request) : 0;
    const part = all.subarray(from);
    const half = part.subarray(0, part.length >> 1);

    // Written past node:http, which would complete or correct it.
    const lines = [from > 0 ? 'HTTP/1.1 206 Partial Content' : 'HTTP/1.1 200 OK'];
    if (from > 0) lines.push(`Content-Range: bytes ${from}-${all.length - 1}/${all.length}`);
    if (advertise) lines.push('Accept-Ranges: bytes');
    if (encoding !== undefined) lines.push(`Content-Encoding: ${encoding}`);
    if (framing === 'length') lines.push(`Content-Length: ${part.length}`);
    if (framing === 'chunked') lines.push('Transfer-Encoding: chunked');
    if (framing === 'close') lines.push('Connection: close');
    const chunk = framing === 'chunked' ? [`${half.length.toString(16)}\r\n`, half, '\r\n'] : [half];
    const { socket } = request;
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    for (const piece of chunk) socket.write(piece);

    if (ending === 'end') socket.end();
    if (ending === 'reset') socket.write('', () => socket.resetAndDestroy());
  };
}

export type ContentEncoding = 'gzip' | 'br' | 'zstd' | 'xz' | 'bzip2';

/** The whole file with a Content-Encoding, as a compressing proxy would send it. */
export function encoded(encoding: ContentEncoding): Answer {
  return async (exchange) => {
    const bytes = await encode(exchange.genuine ?? Buffer.alloc(0), encoding);
    serve(exchange, bytes, {
      advertise: false,
      honour: false,
      headers: { 'Content-Encoding': encoding },
    });
  };
}

interface ServeOptions {
  readonly advertise?: boolean;
  readonly honour?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** 200 or, where a range is asked for and honoured, 206. */
export function serve({ request, response }: Exchange, bytes: Buffer, options: ServeOptions = {}): void {
  const { advertise = true, honour = true, headers = {} } = options;
  const from = honour ? rangeStart(request) : 0;
  const part = bytes.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, {
    'Content-Length': part.length,
    ...(advertise ? { 'Accept-Ranges': 'bytes' } : {}),
    ...(from > 0 ? { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
    ...headers,
  });
  response.end(part);
}

/** Nix asks for open ranges only: `bytes=N-`. */
function rangeStart({ headers }: IncomingMessage): number {
  return Number(headers.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
}

async function encode(bytes: Buffer, encoding: ContentEncoding): Promise<Buffer> {
  switch (encoding) {
    case 'gzip':
      return promisify(gzip)(bytes);
    case 'br':
      return promisify(brotliCompress)(bytes);
    case 'zstd':
      return promisify(zstdCompress)(bytes);
    case 'xz':
    case 'bzip2': {
      const child = spawn(encoding, ['-c', '-1'], { stdio: ['pipe', 'pipe', 'inherit'] });
      child.stdin.end(bytes);
      return buffer(child.stdout);
    }
  }
}
