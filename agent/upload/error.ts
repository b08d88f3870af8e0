import { NarrowcastError } from '../nix/error.ts';

/** An upload that is refused; the message is for the uploader. */
export class UploadError extends NarrowcastError {
  /** The HTTP status: 400, 403, 409, 411, 413, 415, 422 or 507; 499 when the uploader has left. */
  readonly status: number;
  /** For a NAR of which a part is there: its bytes. */
  readonly offset: number | undefined;

  constructor(status: number, message: string, options: { offset?: number; cause?: unknown } = {}) {
    super('upload-refused', message, options);
    this.status = status;
    this.offset = options.offset;
  }
}

/** The disk takes no more. */
export function noRoom(): UploadError {
  return new UploadError(507, 'The cache directory has no room for this now.');
}
