import type { ServerResponse } from 'node:http';
import { NarrowcastError } from '../nix/error.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import { noteSent } from './spent-buffers.ts';

/** A client that takes nothing for this long, in ms, is gone; Nix itself gives up after as much. */
const clientPatience = 300_000;

/** One for all: to make an error for each answer that is complete costs more than it tells. */
const left = new NarrowcastError('client-gone', 'The client has left');

/** A short answer in plain text. */
export function say(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  const body = Buffer.from(`${text}\n`);
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    ...headers,
  });
  response.end(body);
}

/** Aborts when the client goes away, or has gone before, and when the answer is complete. */
export function gone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort(left);
  if (response.closed || response.destroyed) abort();
  else response.once('close', abort);
  return controller.signal;
}

/** Sends chunks as fast as the client takes them and ends the answer; resolves to the bytes, early when the client leaves. Rejects with the chunks' error. */
export async function send(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
  clock: Clock = systemClock,
): Promise<number> {
  let sent = 0;
  for await (const chunk of chunks) {
    if (response.destroyed) return sent;
    sent += chunk.length;
    if (!response.write(chunk)) await drained(response, clock);
    noteSent(chunk.length);
  }
  if (!response.destroyed) response.end();
  return sent;
}

/** The first `length` bytes. */
export async function* upTo(chunks: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let left = length;
  for await (const chunk of chunks) {
    yield chunk.length > left ? chunk.subarray(0, left) : chunk;
    left -= chunk.length;
    if (left <= 0) return;
  }
}

/** Resolves when the client has taken what was written, or has left; one that does not for too long is cut. */
async function drained(response: ServerResponse, clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancelCut = clock.after(clientPatience, () => response.destroy());
  response.once('drain', resolve);
  response.once('close', resolve);
  await promise;
  cancelCut();
  response.off('drain', resolve);
  response.off('close', resolve);
}

/** Newer clients encode what needs it in a URL; no file has the empty name that stands for nonsense. */
export function percentDecoded(url: string): string {
  try {
    return decodeURIComponent(url);
  } catch {
    return '';
  }
}
