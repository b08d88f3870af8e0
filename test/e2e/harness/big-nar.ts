import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashPartOf } from '../../fixtures/closure.ts';
import { PrivateStore } from './private-store.ts';
import { mustRun } from './run-command.ts';
import { field, withFields } from './spoiled-narinfo.ts';

export const bigCompressions = ['none', 'xz', 'zstd'] as const;
export type BigCompression = (typeof bigCompressions)[number];

/** One large path, in binary caches that differ in its compression only. */
export interface BigNar {
  readonly path: string;
  readonly hashPart: string;
  readonly publicKey: string;
  /** Of the NAR, `sha256:…`. */
  readonly narHash: string;
  readonly narSize: number;
  readonly caches: Readonly<
    Record<BigCompression, { readonly dir: string; readonly fileSize: number; readonly url: string }>
  >;
}

const bytesProgram = join(import.meta.dirname, '../../fixtures/bytes.ts');
const extensions: Readonly<Record<BigCompression, string>> = { none: '', xz: '.xz', zstd: '.zst' };
const compressors = { xz: ['xz', '-0', '-T2', '-k'], zstd: ['zstd', '-q', '-1', '-T2', '-k'] } as const;

/** The size of large NARs, in MB; `NARROWCAST_BIG_NAR_MB` asks for more. */
export const bigNarMegabytes = Number(process.env['NARROWCAST_BIG_NAR_MB'] ?? 60);

/** A path of that many MB, half noise and half text, made by real Nix on first use. */
export async function bigNar(megabytes = bigNarMegabytes, name = 'big'): Promise<BigNar> {
  const directory = join(import.meta.dirname, '../../../.cache/fixtures', `${name}-${megabytes}`);
  if (!existsSync(directory)) {
    const unfinished = `${directory}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    await make(unfinished, name, megabytes * 1_000_000);
    await rename(unfinished, directory);
  }
  return await read(directory);
}

async function make(directory: string, name: string, size: number): Promise<void> {
  await using store = await PrivateStore.create();
  const secretKey = join(directory, 'secret-key');
  const file = join(directory, name);
  await mustRun([
    'sh',
    '-c',
    '"$0" "$1" "$2" "$3" > "$4"',
    process.execPath,
    bytesProgram,
    name,
    String(size),
    file,
  ]);
  const { stdout } = await store.mustRun(['nix-store', '--add', file]);
  await rm(file);
  await store.mustRun([
    'nix-store',
    '--generate-binary-cache-key',
    'big-1',
    secretKey,
    join(directory, 'public-key'),
  ]);
  const none = join(directory, 'none');
  await store.mustRun([
    'nix',
    'copy',
    '--to',
    `file://${none}?compression=none&secret-key=${secretKey}`,
    stdout.trim(),
  ]);

  const [narinfoFile = ''] = (await readdir(none)).filter((file) => file.endsWith('.narinfo'));
  const narinfo = await readFile(join(none, narinfoFile), 'utf8');
  for (const compression of ['xz', 'zstd'] as const) {
    const dir = join(directory, compression);
    await mkdir(join(dir, 'nar'), { recursive: true });
    const packed = join(dir, `nar/big.nar${extensions[compression]}`);
    await mustRun([
      'sh',
      '-c',
      '"$@" -c > "$0"',
      packed,
      ...compressors[compression],
      join(none, field(narinfo, 'URL')),
    ]);
    const hash = (
      await store.mustRun(['nix-hash', '--type', 'sha256', '--base32', '--flat', packed])
    ).stdout.trim();
    const url = `nar/${hash}.nar${extensions[compression]}`;
    await rename(packed, join(dir, url));
    const { size: fileSize } = await stat(join(dir, url));
    const fields = {
      URL: url,
      Compression: compression,
      FileHash: `sha256:${hash}`,
      FileSize: String(fileSize),
    };
    await writeFile(join(dir, narinfoFile), withFields(narinfo, fields));
    await writeFile(join(dir, 'nix-cache-info'), await readFile(join(none, 'nix-cache-info')));
  }
}

async function read(directory: string): Promise<BigNar> {
  const cache = async (compression: BigCompression) => {
    const dir = join(directory, compression);
    const [name = ''] = (await readdir(dir)).filter((file) => file.endsWith('.narinfo'));
    const narinfo = await readFile(join(dir, name), 'utf8');
    return { dir, narinfo, fileSize: Number(field(narinfo, 'FileSize')), url: field(narinfo, 'URL') };
  };
  const [none, xz, zstd] = await Promise.all([cache('none'), cache('xz'), cache('zstd')]);
  const path = field(none.narinfo, 'StorePath');
  return {
    path,
    hashPart: hashPartOf(path),
    publicKey: (await readFile(join(directory, 'public-key'), 'utf8')).trim(),
    narHash: field(none.narinfo, 'NarHash'),
    narSize: Number(field(none.narinfo, 'NarSize')),
    caches: { none, xz, zstd },
  };
}
