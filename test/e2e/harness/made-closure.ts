import { createCipheriv, createHash, createPublicKey } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip, constants as zlib, zstdCompress } from 'node:zlib';
import type { FixturePath } from '../../fixtures/closure.ts';
import { narOfFile } from '../../fixtures/nar.ts';
import type { Random } from './random.ts';
import { type SigningKey, signedAnew, unknownKey } from './spoiled-narinfo.ts';

/** A signed binary cache made without Nix, in about a second for 100 MB. */
export interface MadeClosure {
  readonly dir: string;
  /** `name:base64`, for trusted-public-keys. */
  readonly publicKey: string;
  /** Has all others in its closure. */
  readonly top: string;
  readonly paths: readonly FixturePath[];
}

const compressions = ['zstd', 'none', 'gzip', 'br'] as const;
type MadeCompression = (typeof compressions)[number];

/** One path of noise for each size (bytes), each of another compression than the one before; all hang from the last, as a tree. */
export async function makeClosure(
  dir: string,
  sizes: readonly number[],
  random: Random,
): Promise<MadeClosure> {
  const key = unknownKey('made-1');
  await mkdir(join(dir, 'nar'), { recursive: true });
  await writeFile(join(dir, 'nix-cache-info'), 'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n');
  const paths: FixturePath[] = [];
  for (const [n, size] of sizes.entries()) {
    // Counted from the last, each has the four that come after four times its number.
    const fromLast = sizes.length - 1 - n;
    const children = [1, 2, 3, 4].map((child) => paths[sizes.length - 1 - (4 * fromLast + child)]);
    const references = children.flatMap((path) => path?.path ?? []);
    const compression = compressions[n % compressions.length] ?? 'none';
    paths.push(
      await makePath(dir, `made-${n}`, narOfFile(noise(size, random)), compression, references, key, random),
    );
  }
  return { dir, publicKey: publicKeyOf(key), top: paths.at(-1)?.path ?? '', paths };
}

async function makePath(
  dir: string,
  name: string,
  nar: Buffer,
  compression: MadeCompression,
  references: readonly string[],
  key: SigningKey,
  random: Random,
): Promise<FixturePath> {
  const file = await compressors[compression](nar);
  const url = `nar/${base32(sha256(file))}.nar${extensions[compression]}`;
  const base = `${base32(noise(20, random))}-${name}`;
  const narHash = `sha256:${base32(sha256(nar))}`;
  const narinfo = [
    `StorePath: /nix/store/${base}`,
    `URL: ${url}`,
    `Compression: ${compression}`,
    `FileHash: sha256:${base32(sha256(file))}`,
    `FileSize: ${file.length}`,
    `NarHash: ${narHash}`,
    `NarSize: ${nar.length}`,
    `References: ${references
      .map((path) => path.slice('/nix/store/'.length))
      .sort()
      .join(' ')}`,
  ];
  await writeFile(join(dir, url), file);
  await writeFile(join(dir, `${base.slice(0, 32)}.narinfo`), signedAnew(`${narinfo.join('\n')}\n`, key));
  return {
    path: `/nix/store/${base}`,
    url,
    narHash,
    narSize: nar.length,
    compression,
    fileSize: file.length,
    signed: true,
  };
}

const extensions: Record<MadeCompression, string> = { zstd: '.zst', none: '', gzip: '.gz', br: '.br' };
const compressors: Record<MadeCompression, (nar: Buffer) => Promise<Buffer>> = {
  zstd: (nar) => promisify(zstdCompress)(nar),
  none: async (nar) => nar,
  gzip: (nar) => promisify(gzip)(nar, { level: 1 }),
  br: (nar) => promisify(brotliCompress)(nar, { params: { [zlib.BROTLI_PARAM_QUALITY]: 1 } }),
};

function noise(size: number, random: Random): Buffer {
  const key = Buffer.alloc(32);
  for (let at = 0; at < 32; at += 4) key.writeUInt32LE(random.below(2 ** 32), at);
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Nix's base32: the number that the bytes are, little end first, in digits of five bits, the highest first. */
function base32(bytes: Buffer): string {
  let number = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
  let text = '';
  for (let digits = Math.ceil((bytes.length * 8) / 5); digits > 0; digits--) {
    text = '0123456789abcdfghijklmnpqrsvwxyz'.charAt(Number(number % 32n)) + text;
    number /= 32n;
  }
  return text;
}

function publicKeyOf({ name, key }: SigningKey): string {
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return `${name}:${der.subarray(-32).toString('base64')}`;
}
