import { type NarFile, narFileOf } from '../cache/layout.ts';
import { type Compression, fileExtension, isDecodable } from '../nix/compression.ts';
import { isNarHash, type NarHash } from '../nix/hash.ts';

/** A NAR file as an uploader names it: by the sha256 of its bytes. */
export interface UploadedFile {
  readonly name: NarFile;
  readonly fileHash: NarHash;
  /** How it may be compressed: Nix gives gzip and lzma no ending, which reads as `none`. */
  readonly compressions: readonly Compression[];
}

const endings = new Map<string, readonly Compression[]>([
  ['', ['none', 'gzip', 'lzma']],
  ...(['xz', 'zstd', 'br', 'gzip', 'lzma', 'bzip2', 'lzip', 'lz4', 'compress'] as const).map(
    (compression) => [fileExtension(compression), [compression]] as const,
  ),
]);

/** Reads `nar/<FileHash>.nar<ending>`; undefined for anything else. */
export function uploadedFile(url: string): UploadedFile | undefined {
  const [, fileHash = '', ending = ''] = /^nar\/([0-9a-z]{52})\.nar(\.[0-9a-zA-Z]{1,5})?$/.exec(url) ?? [];
  const name = narFileOf(url);
  const compressions = endings.get(ending);
  if (name === undefined || compressions === undefined || !isNarHash(fileHash)) return undefined;
  return { name, fileHash, compressions };
}

/** Whether it can be verified before it is shown to anybody. */
export function isVerifiable({ compressions }: UploadedFile): boolean {
  return compressions.some(isDecodable);
}
