import { CacheError } from './error.ts';
import type { OpenFile } from './files.ts';

const chunkSize = 256 * 1024;

/**
 * The file's bytes from `offset` to `end()`, which is asked again before each chunk; every chunk is a new Buffer of up to 256 KiB.
 * @throws CacheError `cache-read` when the file fails or ends before that
 */
export async function* readChunks(
  file: OpenFile,
  name: string,
  offset: number,
  end: () => number,
): AsyncGenerator<Buffer> {
  for (let at = offset; at < end(); ) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(chunkSize, end() - at));
    const count = await file.read(buffer, at).catch((cause: unknown) => {
      throw new CacheError('cache-read', `The file ${name} cannot be read at byte ${at}.`, { cause });
    });
    if (count === 0)
      throw new CacheError('cache-read', `The file ${name} ends at byte ${at} instead of ${end()}.`);
    at += count;
    yield buffer.subarray(0, count);
  }
}
