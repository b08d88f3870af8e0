import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Compression } from '../nix/compression.ts';
import { NarUnavailable } from '../relay/error.ts';
import type { KnownPath } from '../relay/known-path.ts';
import { opaqueOffers, openOpaque } from '../relay/opaque.ts';
import type { Transfers } from '../relay/transfers.ts';
import type { Finished } from '../telemetry/counters.ts';
import { parseRange } from './range.ts';
import { gone, say, send, upTo } from './reply.ts';
import { type Count, messageOf, resultFrom } from './request-count.ts';

export interface NarAnswersOptions {
  readonly transfers: Transfers;
  /** Passes a NAR's bytes on no faster than the client may have them; by default as fast as it takes them. */
  readonly pace?: (response: ServerResponse, chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
}

/**
 * Answers requests for NARs. Both ways reject when that cannot be done, or not to the end; `count` is told how each GET
 * ended, but for those of a range behind the end.
 */
export class NarAnswers {
  readonly #options: NarAnswersOptions;

  constructor(options: NarAnswersOptions) {
    this.#options = options;
  }

  /** Answers with the decoded NAR of a path, or a range of it. */
  async decoded(
    request: IncomingMessage,
    response: ServerResponse,
    known: KnownPath,
    count: Count,
  ): Promise<void> {
    const path = known.narinfo.storePath.base;
    const size = known.narinfo.narSize;
    const range = parseRange(request.headers.range, size);
    if (range === 'unsatisfiable')
      return say(response, 416, 'behind the end', { 'content-range': `bytes */${size}` });
    const { start, end } = range ?? { start: 0, end: size };
    if (request.method === 'HEAD')
      await this.#options.transfers.settled(known, waitOf(request), gone(response));
    const headers = {
      'content-type': 'application/x-nix-nar',
      'content-length': end - start,
      'accept-ranges': 'bytes',
      // RFC 9211; `narrowcast fetch` passes over what is a hit.
      'cache-status': known.stored ? 'narrowcast; hit' : 'narrowcast; fwd=uri-miss',
      ...(range && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
    };
    const status = range ? 206 : 200;
    if (request.method === 'HEAD') return void response.writeHead(status, headers).end();
    const reading = await this.#options.transfers
      .open(known, start, gone(response), request.headers.via)
      .catch((error) => {
        count(response.destroyed ? 'left' : 'absent', { path, reason: messageOf(error) });
        throw error;
      });
    const ends = (result: Finished['result'], reason?: string) => {
      const { giver, given } = reading;
      count(result, { path, giver, bytes: Math.min(given, end - start), reason });
    };
    response.writeHead(status, headers);
    try {
      await this.#send(response, upTo(reading.chunks(), end - start));
      ends(response.writableEnded ? resultFrom(reading.giver) : 'left');
    } catch (error) {
      ends(response.destroyed ? 'left' : 'failed', messageOf(error));
      throw error;
    } finally {
      reading.close();
    }
  }

  /** Answers with a NAR that only Nix can decode, as a source has it. */
  async opaque(
    request: IncomingMessage,
    response: ServerResponse,
    known: KnownPath,
    compression: Compression,
    count: Count,
  ): Promise<void> {
    const path = known.narinfo.storePath.base;
    if (!opaqueOffers(known).some(({ narinfo }) => narinfo.compression === compression)) {
      say(response, 404, 'not here');
      return count('absent', { path });
    }
    const type = { 'content-type': 'application/x-nix-nar' };
    if (request.method === 'HEAD') return void response.writeHead(200, type).end();
    const start = Number(/^bytes=(\d{1,15})-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const opened = await openOpaque(known, compression, start, gone(response), request.headers.via).catch(
      (error) => {
        count(response.destroyed ? 'left' : 'absent', { path, reason: messageOf(error) });
        throw error;
      },
    );
    const { size, chunks, giver } = opened;
    if (size !== undefined) {
      response.writeHead(start > 0 ? 206 : 200, {
        ...type,
        'accept-ranges': 'bytes',
        'content-length': size - start,
        ...(start > 0 && { 'content-range': `bytes ${start}-${size - 1}/${size}` }),
      });
    } else if (start === 0) response.writeHead(200, type);
    // A part of something without a size cannot be named, and Nix takes the whole for the part.
    else {
      const error = new NarUnavailable(path);
      count('absent', { path, reason: error.message });
      throw error;
    }
    try {
      const bytes = await this.#send(response, chunks);
      count(response.writableEnded ? resultFrom(giver) : 'left', { path, giver, bytes });
    } catch (error) {
      count('failed', { path, giver, reason: messageOf(error) });
      throw error;
    }
  }

  #send(response: ServerResponse, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const { pace = (_, whole) => whole } = this.#options;
    return send(response, pace(response, chunks));
  }
}

/** How long a client would rather wait for the end of what is under way than be told of its beginning, in ms: RFC 7240, `Prefer: wait=`. */
function waitOf({ headers }: IncomingMessage): number {
  return 1_000 * Number(/\bwait=(\d{1,3})\b/.exec(String(headers['prefer'] ?? ''))?.[1] ?? 0);
}
