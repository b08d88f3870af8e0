import { type Compression, isDecodable } from '../nix/compression.ts';
import { SourceError } from '../source/error.ts';
import type { SourceBody } from '../source/source.ts';
import { inOrder } from '../source/source-pool.ts';
import type { Giver } from '../telemetry/counters.ts';
import { giverOf } from './answers.ts';
import { NarCut, NarUnavailable } from './error.ts';
import type { KnownPath, Offer } from './known-path.ts';

/** The offers of a NAR in compressions that the agent cannot decode, best first. */
export function opaqueOffers(known: KnownPath): Offer[] {
  return known.offers
    .filter(({ source, narinfo }) => source.usable && !isDecodable(narinfo.compression))
    .sort((a, b) => inOrder(a.source, b.source));
}

/**
 * Opens a NAR that passes through as it is, from byte `offset` on, at the first source that gives a byte. What is wrong with it the
 * client finds out by NarHash; when it is cut, Nix resumes by Range, and the next source is tried. `via`: see Source.narinfo.
 * @throws NarUnavailable when no source gives anything
 */
export async function openOpaque(
  known: KnownPath,
  compression: Compression,
  offset: number,
  gone: AbortSignal,
  via?: string,
): Promise<SourceBody & { readonly giver: Giver }> {
  const path = known.narinfo.storePath.base;
  let cause: unknown;
  for (const { source, narinfo } of opaqueOffers(known)) {
    if (narinfo.compression !== compression) continue;
    try {
      const body = await source.openNar(narinfo.url, offset, gone, { via });
      const chunks = body.chunks[Symbol.asyncIterator]();
      for (let skip = offset - body.offset; ; ) {
        const { done, value } = await chunks.next();
        if (done)
          throw new SourceError(
            'broken',
            `${source.id} gave nothing of ${narinfo.url} from byte ${offset} on`,
          );
        const first = value.subarray(Math.min(skip, value.length));
        skip -= value.length - first.length;
        if (first.length > 0) {
          const giver = giverOf(source);
          return { ...body, offset, giver, chunks: continued(first, chunks, path) };
        }
      }
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      cause = error;
    }
  }
  throw new NarUnavailable(path, cause);
}

async function* continued(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array> {
  try {
    yield first;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } catch (error) {
    throw new NarCut(path, 'its source stopped', error);
  } finally {
    await rest.return?.();
  }
}
