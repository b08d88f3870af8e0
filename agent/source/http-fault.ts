import type { Dispatcher } from 'undici';
import { NarrowcastError } from '../nix/error.ts';
import { SourceError } from './error.ts';

const unreachable: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EACCES',
  'EPERM',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EAI_NODATA',
  'EAI_NONAME',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Turns whatever a request ended with into a SourceError; an abort by the caller keeps the caller's reason. */
export function httpFault(error: unknown, what: string, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof SourceError) return error;
  if (error instanceof NarrowcastError)
    return new SourceError('wrong', `${what} cannot be read: ${error.message}`, { cause: error });
  const code = codeOf(error);
  const tls =
    code.startsWith('ERR_TLS') ||
    code.startsWith('ERR_SSL') ||
    code.includes('CERT') ||
    code.includes('SIGNATURE');
  const fault = isUnreachable(error) || tls ? 'unreachable' : 'broken';
  const verb = fault === 'unreachable' ? 'cannot be reached' : 'was cut off';
  return new SourceError(fault, `${what} ${verb}: ${code || String(error)}`, { cause: error });
}

/** The same for a request to another host, to which the source redirected: that it is away says nothing of the source itself. */
export function elsewhereFault(error: unknown, what: string, signal: AbortSignal): unknown {
  const fault = httpFault(error, what, signal);
  if (!(fault instanceof SourceError) || fault.fault !== 'unreachable') return fault;
  return new SourceError('broken', fault.message, { cause: fault.cause });
}

/** Whether a request ended because nobody could be reached. */
export function isUnreachable(error: unknown): boolean {
  return unreachable.has(codeOf(error));
}

/** What a status other than 200 and 206 means; undefined for 'not here'. */
export function statusError(
  id: string,
  path: string,
  response: Dispatcher.ResponseData,
): SourceError | undefined {
  const { statusCode: status, headers } = response;
  const say = `${id} answered ${status} for ${path}`;
  if (status === 407 || status === 511)
    return new SourceError('captive', `${say}: this network wants a login`);
  if (status === 416) return new SourceError('wrong', `${say}: the file is shorter than it was`);
  if (status >= 400 && status < 500 && status !== 408 && status !== 425 && status !== 429) return undefined;
  if (status < 400) return new SourceError('wrong', say);
  const retryAfter = secondsOf(headers['retry-after']);
  return new SourceError('unavailable', say, retryAfter === undefined ? {} : { retryAfter });
}

function secondsOf(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string') return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error.cause === undefined ? '' : codeOf(error.cause);
}
