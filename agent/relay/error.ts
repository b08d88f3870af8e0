import { NarrowcastError } from '../nix/error.ts';

/** No byte of a NAR can be had: answered with 404, which Nix takes as 'not here'. */
export class NarUnavailable extends NarrowcastError {
  constructor(path: string, cause?: unknown) {
    super('nar-unavailable', `No source has the NAR of ${path} now`, { cause });
  }
}

/** A NAR that was begun cannot be ended now: the connection is cut, and Nix resumes by Range. */
export class NarCut extends NarrowcastError {
  constructor(path: string, why: string, cause?: unknown) {
    super('nar-cut', `The NAR of ${path} was cut: ${why}`, { cause });
  }
}
