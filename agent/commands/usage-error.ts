import { NarrowcastError } from '../nix/error.ts';

/** The command was called in a way that it cannot follow: exit code 2. */
export class UsageError extends NarrowcastError {
  constructor(message: string) {
    super('bad-usage', message);
  }
}
