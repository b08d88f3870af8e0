import { FormatError } from '../nix/error.ts';
import { parseStorePath, type StorePath } from '../nix/store-path.ts';
import { UsageError } from './usage-error.ts';

/**
 * A store path as somebody typed it.
 * @throws UsageError when it is none
 */
export function storePathArgument(text: string, storeDir: string): StorePath {
  try {
    return parseStorePath(text, storeDir);
  } catch (error) {
    throw error instanceof FormatError ? new UsageError(error.message) : error;
  }
}
