import { type Compression, compressions, fileExtension, isDecodable } from '../nix/compression.ts';
import { isNarHash, type NarHash, narHashOf } from '../nix/hash.ts';
import type { NarinfoFile } from '../nix/narinfo.ts';
import type { KnownPath } from '../relay/known-path.ts';
import { opaqueOffers } from '../relay/opaque.ts';

/** A NAR by its NarHash, decoded or as only Nix can decode it; or the file of that FileHash, as it is stored. */
export type NarName =
  | { readonly kind: 'decoded'; readonly narHash: NarHash }
  | { readonly kind: 'opaque'; readonly narHash: NarHash; readonly compression: Compression }
  | { readonly kind: 'stored'; readonly fileHash: NarHash; readonly compression: Compression };

/**
 * How a NAR is served: the stored file as it is, where `asStored` and decoding it costs something; else decoded, where that can be done; else
 * as a source has it. Undefined when nobody has it. The URL means the same bytes for ever (docs/decisions/as-stored.md).
 */
export function servedAs(known: KnownPath, asStored: boolean): NarinfoFile | undefined {
  const { hashPart, narHash, stored } = known;
  if (
    asStored &&
    stored !== undefined &&
    stored.compression !== 'none' &&
    stored.fileHash?.algorithm === 'sha256'
  )
    return { ...stored, url: urlOf(hashPart, narHashOf(stored.fileHash), stored.compression) };
  const decodable = known.offers.some(
    ({ narinfo, source }) => source.usable && isDecodable(narinfo.compression),
  );
  const compression = stored || decodable ? 'none' : opaqueOffers(known)[0]?.narinfo.compression;
  return compression && { url: urlOf(hashPart, narHash, compression), compression };
}

/** What the second half of such a URL names: a hash and what follows `.nar`. */
export function parseNarName(hash: string, extension: string): NarName | undefined {
  if (!isNarHash(hash)) return undefined;
  if (extension === '') return { kind: 'decoded', narHash: hash };
  const compression = byExtension.get(extension);
  if (compression === undefined) return undefined;
  return isDecodable(compression)
    ? { kind: 'stored', fileHash: hash, compression }
    : { kind: 'opaque', narHash: hash, compression };
}

const byExtension = new Map(compressions.map((compression) => [fileExtension(compression), compression]));

function urlOf(hashPart: string, hash: NarHash, compression: Compression): string {
  return `nar/${hashPart}-${hash}.nar${fileExtension(compression)}`;
}
