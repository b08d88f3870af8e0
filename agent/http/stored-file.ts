import type { IncomingMessage, ServerResponse } from 'node:http';
import type { StoredFile } from '../cache/nar-cache.ts';
import { parseRange } from './range.ts';
import { say, send, upTo } from './reply.ts';

/** Passes a body's bytes on no faster than the client may have them. */
export type Pacer = (
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
) => AsyncIterable<Uint8Array>;

/**
 * Answers with a stored NAR file as it is, or the range of it that the request wants, and closes it. Resolves to the body's bytes.
 * @throws CacheError `cache-read` when the disk fails on the way
 */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: StoredFile,
  {
    pace = (_, whole) => whole,
    headers,
  }: { pace?: Pacer | undefined; headers?: Record<string, string> } = {},
): Promise<number> {
  try {
    const range = parseRange(request.headers.range, file.size);
    if (range === 'unsatisfiable') {
      say(response, 416, 'behind the end', { 'content-range': `bytes */${file.size}` });
      return 0;
    }
    const { start, end } = range ?? { start: 0, end: file.size };
    response.writeHead(range ? 206 : 200, {
      'content-type': 'application/x-nix-nar',
      'content-length': end - start,
      'accept-ranges': 'bytes',
      ...headers,
      ...(range && { 'content-range': `bytes ${start}-${end - 1}/${file.size}` }),
    });
    if (request.method !== 'HEAD')
      return await send(response, pace(response, upTo(file.read(start), end - start)));
    response.end();
    return 0;
  } finally {
    await file.close();
  }
}
