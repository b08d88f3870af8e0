import type { IncomingHttpHeaders } from 'node:http';
import { UploadError } from '../upload/error.ts';
import type { Part } from '../upload/nars.ts';

/**
 * Which part of a file a PUT brings, by Content-Length and Content-Range (RFC 9110, section 14.4: `bytes 100-199/200`).
 * @throws UploadError when they are not there or do not agree
 */
export function partOf(headers: IncomingHttpHeaders): Part {
  const length = Number(headers['content-length']);
  if (!Number.isSafeInteger(length) || headers['transfer-encoding'] !== undefined)
    throw new UploadError(411, 'The length of a NAR must be known before it comes.');
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw new UploadError(415, 'A NAR must come as it is, without a Content-Encoding.');
  const range = headers['content-range'];
  if (range === undefined) return checked({ start: 0, end: length, size: length }, length);
  const [, first, last, size] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(range) ?? [];
  return checked({ start: Number(first), end: Number(last) + 1, size: Number(size) }, length);
}

function checked(part: Part, length: number): Part {
  const { start, end, size } = part;
  if (start < end && end <= size && end - start === length) return part;
  throw new UploadError(400, 'Content-Length and Content-Range are not those of a part of a file.');
}
