import type { IncomingMessage, ServerResponse } from 'node:http';
import { decodeContent } from '../nix/decode.ts';
import { FormatError } from '../nix/error.ts';
import { arrived } from '../source/arrived.ts';
import { UploadError } from '../upload/error.ts';
import { say } from './reply.ts';
import { noteSent } from './spent-buffers.ts';

/** What a client that was refused gets to stop sending, in ms. */
const patience = 5_000;

/** Those whose clients were told to send. */
const continued = new WeakSet<IncomingMessage>();

/** Whether the client waits for leave before it sends its body. */
function isWaiting(request: IncomingMessage): boolean {
  return /^100-continue$/i.test(request.headers.expect ?? '') && !continued.has(request);
}

/**
 * The body of a request, for which a waiting client is asked only when it is read (RFC 9110, section 10.1.1). Rejects with an UploadError
 * when the client leaves, or sends nothing for `stalled` ms.
 */
export async function* bodyOf(
  request: IncomingMessage,
  response: ServerResponse,
  stalled: number,
): AsyncGenerator<Uint8Array> {
  request.setTimeout(stalled, () => request.socket.destroy());
  if (isWaiting(request)) {
    response.writeContinue();
    continued.add(request);
  }
  try {
    for await (const chunk of arrived(request, undefined, 'keep')) {
      yield chunk;
      noteSent(chunk.length);
    }
  } catch (cause) {
    throw new UploadError(499, 'The upload was cut off.', { cause });
  }
}

/** The same chunks, collected soon after they were used. */
export async function* spending(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk;
    noteSent(chunk.length);
  }
}

/**
 * A whole body of at most `longest` bytes, its Content-Encoding undone.
 * @throws UploadError when it is longer, or not what its encoding says
 */
export async function smallBody(
  request: IncomingMessage,
  response: ServerResponse,
  stalled: number,
  longest: number,
): Promise<Buffer> {
  const tooLong = new UploadError(413, `More than ${longest} bytes cannot be right here.`);
  if (Number(request.headers['content-length']) > longest) throw tooLong;
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    const encoding = request.headers['content-encoding'] ?? '';
    for await (const chunk of decodeContent(encoding, bodyOf(request, response, stalled))) {
      length += chunk.length;
      if (length > longest) throw tooLong;
      chunks.push(chunk);
    }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new UploadError(400, `The body is not what its Content-Encoding says: ${cause.message}.`, {
      cause,
    });
  }
  return Buffer.concat(chunks);
}

/** Answers before all of the body has come, and lets the client notice before its connection is cut. */
export function answerEarly(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  const request = response.req;
  // Who was not asked to send may go on with the next request, which would be taken for the body.
  say(response, status, text, isWaiting(request) ? { ...headers, connection: 'close' } : headers);
  if (request.complete || hasNoBody(request)) return;
  request.resume();
  const { socket } = request;
  const cut = setTimeout(() => request.complete || socket.destroy(), patience).unref();
  socket.once('close', () => clearTimeout(cut));
}

function hasNoBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
}
