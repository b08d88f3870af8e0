import type { Dispatcher } from 'undici';
import type { ContentEncoding } from '../nix/decode.ts';
import { SourceError } from './error.ts';

type Response = Dispatcher.ResponseData;

/** A part of a file, from byte `offset` to its end. */
export interface Extent {
  readonly offset: number;
  /** Bytes of the whole file, where the response tells. */
  readonly size: number | undefined;
}

/**
 * Which part of a file the body of a 200 or 206 is; `offset` is where it was asked for from.
 * @throws SourceError `wrong` when a 206 has another part, or one whose bytes cannot be counted
 */
export function extentOf(response: Response, offset: number, what: string): Extent {
  const encoded = encodingOf(response) !== 'identity';
  if (response.statusCode === 200) {
    const length = header(response, 'content-length');
    return { offset: 0, size: length === undefined || encoded ? undefined : Number(length) };
  }
  const [, first, total] =
    /^bytes (\d{1,15})-\d+\/(\d{1,15}|\*)$/.exec(header(response, 'content-range') ?? '') ?? [];
  if (Number(first) === offset && !encoded)
    return { offset, size: total === '*' ? undefined : Number(total) };
  throw new SourceError(
    'wrong',
    `${what} was asked for from byte ${offset} on and answered with another range`,
  );
}

/**
 * Passes a body on and counts it.
 * @throws SourceError `broken` when it ends before the file does, `wrong` when it goes on behind that
 */
export async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  { offset, size }: Extent,
  what: string,
): AsyncGenerator<Uint8Array> {
  let position = offset;
  for await (const chunk of chunks) {
    position += chunk.length;
    if (size !== undefined && position > size)
      throw new SourceError('wrong', `${what} has more than its ${size} bytes`);
    yield chunk;
  }
  if (size !== undefined && position < size)
    throw new SourceError('broken', `${what} ended after ${position} of ${size} bytes`);
}

/** The body's Content-Encoding, `identity` for none. */
export function encodingOf(response: Response): ContentEncoding {
  return (header(response, 'content-encoding')?.trim() || 'identity').toLowerCase();
}

/** A header's value; the first one of several. */
export function header(response: Response, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Frees the connection of a response whose body nobody wants. Rejects with the signal's reason when the body does not end. */
export async function discard(response: Response, signal: AbortSignal): Promise<void> {
  await response.body.dump({ limit: 65_536, signal });
}
