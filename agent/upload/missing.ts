import type { Closures } from '../cache/closure.ts';
import { toBase32 } from '../nix/base32.ts';
import { UploadError } from './error.ts';

/** Bytes of a path's decoded hash part that stand for it in a question. */
const prefixBytes = 8;
/** The last characters of a hash part, which its first 60 bits make: Nix's base32 is little-endian. */
const tail = 12;
const mostPaths = 100_000;

/** No longer question is taken, in bytes. */
export const longestQuestion: number = mostPaths * prefixBytes;

/**
 * Answers which paths are not here. The question has the first 8 bytes of each decoded hash part, one after the other; in the answer
 * bit i (most significant first) is set when path i is missing.
 * @throws UploadError for a question of any other length
 */
export async function missingOf(question: Buffer, closures: Closures): Promise<Buffer> {
  if (question.length % prefixBytes !== 0)
    throw new UploadError(400, `The question is not ${prefixBytes} bytes for each path.`);
  const here = new Set((await closures.paths()).map((path) => path.slice(-tail)));
  const count = question.length / prefixBytes;
  const answer = Buffer.alloc(Math.ceil(count / 8));
  for (let i = 0; i < count; i++) {
    const prefix = question.subarray(i * prefixBytes, (i + 1) * prefixBytes);
    if (here.has(toBase32(prefix).slice(-tail))) continue;
    answer[i >> 3] = (answer[i >> 3] ?? 0) | (0x80 >> (i & 7));
  }
  return answer;
}
