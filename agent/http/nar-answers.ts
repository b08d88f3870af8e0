import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NarCache, StoredFile } from '../cache/nar-cache.ts';
import type { Compression } from '../nix/compression.ts';
import { narHashOf } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { NarUnavailable } from '../relay/error.ts';
import { type KnownPath, withFileOf } from '../relay/known-path.ts';
import type { Lookup } from '../relay/lookup.ts';
import { opaqueOffers, openOpaque } from '../relay/opaque.ts';
import type { Transfers } from '../relay/transfers.ts';
import { disk, type Finished } from '../telemetry/counters.ts';
import { parseRange } from './range.ts';
import { gone, say, send, upTo } from './reply.ts';
import { type Count, messageOf, resultFrom } from './request-count.ts';
import type { NarName } from './served-as.ts';
import { type Pacer, sendFile } from './stored-file.ts';

export interface NarAnswersOptions {
  readonly transfers: Transfers;
  readonly lookup: Pick<Lookup, 'widen'>;
  readonly cache?: Pick<NarCache, 'open'> | undefined;
  /** Told of the bytes of each stored file that was sent as it is, and whether the disk gave all that was wished. */
  readonly sentStored?: (bytes: number, whole: boolean) => void;
  /** By default a client gets bytes as fast as it takes them. */
  readonly pace?: Pacer;
}

/** A NAR's file by its FileHash. */
type FileName = Extract<NarName, { kind: 'stored' }>;

/** A client of a file that has to be fetched anew waits for the end of that for this long at most after its last byte, in ms. */
const storingPatience = 60_000;

/**
 * Answers requests for NARs. All ways reject when that cannot be done, or not to the end; `count` is told how each GET
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
    // A client that goes on may have had other bytes of an earlier transfer, which knows.
    const file = start === 0 && known.stored?.compression === 'none' ? await this.#open(known) : undefined;
    if (file !== undefined) return await this.#file(request, response, known, file, count);
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

  /** Answers with the file that holds the NAR in the cache directory, or a range of it, as it is. */
  async stored(
    request: IncomingMessage,
    response: ServerResponse,
    known: KnownPath,
    name: FileName,
    count: Count,
  ): Promise<void> {
    const isIt = () => known.stored !== undefined && isFile(known.stored, name);
    const open = async () => (isIt() ? await this.#open(known) : undefined);
    let file = await open();
    if (file === undefined && (await this.#fetchFile(request, response, known, name))) file = await open();
    if (file !== undefined) return await this.#file(request, response, known, file, count);
    say(response, 404, 'not here');
    if (request.method === 'GET') count('absent', { path: known.narinfo.storePath.base });
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

  /** The NAR's file in the cache directory; undefined when it is not there any more. */
  async #open(known: KnownPath): Promise<StoredFile | undefined> {
    const { stored } = known;
    const file = stored && (await this.#options.cache?.open(withFileOf(known.narinfo, stored)));
    if (file === undefined) known.stored = undefined;
    return file;
  }

  async #file(
    request: IncomingMessage,
    response: ServerResponse,
    known: KnownPath,
    file: StoredFile,
    count: Count,
  ): Promise<void> {
    const path = known.narinfo.storePath.base;
    const { pace, sentStored } = this.#options;
    try {
      const bytes = await sendFile(request, response, file, {
        pace,
        headers: { 'cache-status': 'narrowcast; hit' },
      });
      if (request.method !== 'GET') return;
      sentStored?.(bytes, true);
      count(response.writableEnded ? 'hit' : 'left', { path, giver: disk, bytes });
    } catch (error) {
      sentStored?.(0, false);
      count('failed', { path, giver: disk, reason: messageOf(error) });
      throw error;
    }
  }

  /** Nix remembers a URL for longer than the cache keeps the file: has it come again from who has the very same, if anybody. */
  async #fetchFile(
    request: IncomingMessage,
    response: ServerResponse,
    known: KnownPath,
    name: FileName,
  ): Promise<boolean> {
    const { transfers, lookup } = this.#options;
    const isOffered = () => known.offers.some(({ narinfo }) => isFile(narinfo, name));
    if (request.method !== 'GET') return false;
    if (!isOffered()) await lookup.widen(known);
    if (!isOffered()) return false;
    const left = gone(response);
    const reading = await transfers.open(known, 0, left, request.headers.via);
    try {
      for await (const _ of reading.chunks());
      await transfers.settled(known, storingPatience, left);
    } finally {
      reading.close();
    }
    return true;
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

function isFile(
  { fileHash, compression }: Pick<Narinfo, 'fileHash' | 'compression'>,
  name: FileName,
): boolean {
  return (
    compression === name.compression &&
    fileHash?.algorithm === 'sha256' &&
    narHashOf(fileHash) === name.fileHash
  );
}
