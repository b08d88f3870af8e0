import { NarrowcastError } from '../nix/error.ts';

/**
 * What went wrong with a push, as far as the next decision depends on it. It passes, so that another try may do better:
 * - `unreachable`: no connection came about;
 * - `cut`: the connection was cut, or silent for too long;
 * - `busy`: the server says that it cannot answer now (5xx, 408, 429);
 * - `offset`: the server has another part of the file than we thought (409).
 *
 * It ends the push, since every other path would fail in the same way:
 * - `refused`: the server does not let us (401, 403), or takes no uploads at all;
 * - `full`: the server's disk is full (507);
 * - `local`: Nix, the spool or a file of ours fails.
 *
 * It concerns one path:
 * - `order`: the server wants something else before it (409);
 * - `rejected`: the server does not take it (400, 413, 422);
 * - `unsigned`: it has no signature, and there is no key to sign it with;
 * - `corrupt`: what is in the store is not what its database says.
 */
export type PushFault =
  | 'unreachable'
  | 'cut'
  | 'busy'
  | 'offset'
  | 'refused'
  | 'full'
  | 'local'
  | 'order'
  | 'rejected'
  | 'unsigned'
  | 'corrupt';

/** A push did not succeed; `fault` says which way. */
export class PushError extends NarrowcastError {
  readonly fault: PushFault;
  /** With `offset`: how many bytes of the file the server has. */
  readonly offset: number;
  /** How long the server asked to be left alone, in ms (Retry-After). */
  readonly retryAfter: number;

  constructor(
    fault: PushFault,
    message: string,
    options: { cause?: unknown; offset?: number; retryAfter?: number } = {},
  ) {
    super(`push-${fault}`, message, options);
    this.fault = fault;
    this.offset = options.offset ?? 0;
    this.retryAfter = options.retryAfter ?? 0;
  }
}

const passing: ReadonlySet<PushFault> = new Set(['unreachable', 'cut', 'busy', 'offset']);
const ofOnePath: ReadonlySet<PushFault> = new Set(['order', 'rejected', 'unsigned', 'corrupt']);

/** Whether another try may do better. */
export function mayPass(error: unknown): error is PushError {
  return error instanceof PushError && passing.has(error.fault);
}

/** Whether other paths may succeed all the same. */
export function concernsOnePath(error: unknown): error is PushError {
  return error instanceof PushError && ofOnePath.has(error.fault);
}
