/** A failure of discovery, said in one sentence: what, where, and what to do. */
export class DiscoveryError extends Error {
  /** What went wrong, for programs: stays the same when the wording changes. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'DiscoveryError';
    this.code = code;
  }
}
