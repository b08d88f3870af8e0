/** Every compression that Nix 2.8 and later read, by the exact name in a narinfo. */
export const compressions = [
  'none',
  'xz',
  'bzip2',
  'gzip',
  'zstd',
  'br',
  'lzip',
  'lz4',
  'lzma',
  'compress',
] as const;

/** How a NAR file is compressed. */
export type Compression = (typeof compressions)[number];

/** The compressions that narrowcast itself can undo. */
export type Decodable = 'none' | 'xz' | 'lzma' | 'gzip' | 'zstd' | 'br';

/** The compression of that exact name, or undefined. */
export function parseCompression(text: string): Compression | undefined {
  return compressions.find((compression) => compression === text);
}

/**
 * What follows `.nar` in the file's name, as `nix copy --to` writes it (Nix 2.8,
 * src/libstore/binary-cache-store.cc). Nix gives gzip, lzma and compress no ending at all, which reads as
 * `none`; here they have their usual one.
 */
export function fileExtension(compression: Compression): string {
  return extensions[compression];
}

/** Whether narrowcast can decode it. */
export function isDecodable(compression: Compression): compression is Decodable {
  return decodable.has(compression);
}

const extensions: Readonly<Record<Compression, string>> = {
  none: '',
  xz: '.xz',
  bzip2: '.bz2',
  gzip: '.gz',
  zstd: '.zst',
  br: '.br',
  lzip: '.lzip',
  lz4: '.lz4',
  lzma: '.lzma',
  compress: '.Z',
};

const decodable: ReadonlySet<string> = new Set<Decodable>(['none', 'xz', 'lzma', 'gzip', 'zstd', 'br']);
