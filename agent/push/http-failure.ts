import { SourceError } from '../source/error.ts';
import { httpFault } from '../source/http-fault.ts';
import { PushError, type PushFault } from './error.ts';

/** An answer that is no success. */
export interface Failed {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** What the server says about it. */
  readonly text: string;
}

/** The error that an answer other than success stands for, with the server's own sentence. */
export function failure(server: string, what: string, { status, headers, text }: Failed): PushError {
  const wait = headers['retry-after'];
  const offset = offsetIn(headers);
  const fault = status === 409 && offset !== undefined ? 'offset' : faultOfStatus(status);
  const message = `${server} answered ${status} for ${what}: ${sentence(status, text)}`;
  return new PushError(fault, message, {
    ...(offset !== undefined && { offset }),
    ...(typeof wait === 'string' && /^\d{1,6}$/.test(wait) && { retryAfter: Number(wait) * 1_000 }),
  });
}

/** The error that a request without an answer stands for. */
export function faultOf(error: unknown, what: string): Error {
  if (error instanceof PushError) return error;
  const fault = httpFault(error, what, new AbortController().signal);
  if (!(fault instanceof SourceError)) return new PushError('cut', `${what} failed: ${String(error)}`);
  const { message, cause } = fault;
  return new PushError(fault.fault === 'unreachable' ? 'unreachable' : 'cut', message, { cause });
}

/** How many bytes of a file the server says that it has. */
export function offsetIn(headers: Failed['headers']): number | undefined {
  const text = headers['upload-offset'];
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function faultOfStatus(status: number): PushFault {
  if (status === 401 || status === 403) return 'refused';
  if (status === 507) return 'full';
  if (status === 409) return 'order';
  if (status >= 500 || status === 408 || status === 425 || status === 429) return 'busy';
  // A redirect, or a success that none of ours has, is no server of our kind.
  return status < 400 || status === 404 || status === 405 ? 'refused' : 'rejected';
}

/** One line of what the server said, fit for a terminal; the usual reason where it said nothing. */
function sentence(status: number, text: string): string {
  const [line = ''] = text.trim().split('\n', 1);
  const said = line.slice(0, 500).replace(/[^ -~]/g, '?');
  if (said !== '') return said;
  return status === 401
    ? 'it wants the login and password of an uploader: see --netrc-file'
    : 'it does not say why';
}
