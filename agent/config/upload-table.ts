import type * as v from 'valibot';
import { key } from './key.ts';
import { optionalPath, wholeNumber } from './values.ts';

/** Table [upload]: who may put store paths into this machine's cache. */
export interface UploadConfig {
  /** Absolute path of the file with the tokens; undefined: uploads are off. */
  readonly tokensFile: string | undefined;
  /** How many store paths a root keeps: the newest and those before it. */
  readonly rootHistory: number;
}

export const uploadKeys = {
  'tokens-file': key(
    optionalPath(),
    '',
    'File with a line `NAME:TOKEN` or `NAME:sha256:HEX` for each uploader, then the names of the keys that it may use, if not all; `""`: uploads are off',
  ),
  'root-history': key(wholeNumber(1, 100), 3, 'How many store paths each root keeps: the newest ones'),
};

/** The table's values under the names that the code uses. */
export function uploadConfig(
  table: v.InferOutput<v.ObjectSchema<typeof uploadKeys, undefined>>,
): UploadConfig {
  return { tokensFile: table['tokens-file'], rootHistory: table['root-history'] };
}
