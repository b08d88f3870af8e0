import { SourceError } from '../source/error.ts';
import type { SourceBody } from '../source/source.ts';
import type { SourcePool } from '../source/source-pool.ts';
import type { Logger } from '../telemetry/log.ts';
import { NarCut } from './error.ts';

const maxBytes = 256 * 1024 * 1024;

/**
 * Files of a binary cache beside narinfos and NARs: listings, build logs, realisations, debug info. Passed through as they are. Nobody
 * can verify them (I3), so they are taken from sources that the operator named.
 */
export class OtherFiles {
  readonly #pool: Pick<SourcePool, 'usable'>;
  readonly #log: Logger;

  constructor(pool: Pick<SourcePool, 'usable'>, log: Logger) {
    this.#pool = pool;
    this.#log = log;
  }

  /** The file at the first source that has it; undefined when none has, or when the path leads out of a cache. */
  async open(path: string, gone: AbortSignal): Promise<SourceBody | undefined> {
    if (!staysInside(path)) return undefined;
    for (const source of this.#pool.usable()) {
      if (!source.source.configured) continue;
      try {
        const body = await source.openFile(path, gone);
        if (body !== undefined) return { ...body, chunks: bounded(body.chunks, path) };
      } catch (error) {
        if (!(error instanceof SourceError)) throw error;
        this.#log.debug({ err: error, source: source.id }, 'file not had');
      }
    }
    return undefined;
  }
}

function staysInside(path: string): boolean {
  try {
    const segments = decodeURIComponent(path).split('/');
    return segments.every(
      (segment) => segment !== '' && segment !== '.' && segment !== '..' && !/[\\\p{Cc}]/u.test(segment),
    );
  } catch {
    return false;
  }
}

async function* bounded(chunks: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new NarCut(path, `it is larger than ${maxBytes} bytes`);
    yield chunk;
  }
}
