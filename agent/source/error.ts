import { NarrowcastError } from '../nix/error.ts';

/**
 * What went wrong with a source, as far as the next decision depends on it:
 * - `unreachable`: no connection came about (refused, no route, name not resolved, TLS);
 * - `silent`: connected, but nothing moved for the time allowed;
 * - `stalled`: it paused for less than that, where a new request costs little (NarAsking.impatient);
 * - `broken`: the connection was cut, or fewer bytes came than were promised;
 * - `unavailable`: the source says that it cannot serve now (5xx, 429);
 * - `captive`: something else than a Nix cache answers in its place;
 * - `wrong`: it answered with something that cannot be true or cannot be read;
 * - `gone`: it does not have what it was said to have.
 */
export type Fault =
  | 'unreachable'
  | 'silent'
  | 'stalled'
  | 'broken'
  | 'unavailable'
  | 'captive'
  | 'wrong'
  | 'gone';

/** A source did not give what was asked of it; `fault` says which way. */
export class SourceError extends NarrowcastError {
  readonly fault: Fault;
  /** How long the source asked to be left alone, in ms (Retry-After). */
  readonly retryAfter: number | undefined;

  constructor(fault: Fault, message: string, options: { cause?: unknown; retryAfter?: number } = {}) {
    super(`source-${fault}`, message, options);
    this.fault = fault;
    this.retryAfter = options.retryAfter;
  }
}
