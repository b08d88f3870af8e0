import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { type Narinfo, printNarinfo } from '../../../agent/nix/narinfo.ts';
import { generateKeyPair, parseSecretKey, type SecretKey, sign } from '../../../agent/nix/secret-key.ts';
import { fingerprint } from '../../../agent/nix/signature.ts';
import { parseStoreBase, type StorePath } from '../../../agent/nix/store-path.ts';

const storeDir = '/nix/store';
const publicKeyFile = 'public-key';

/** A binary cache being written, with a key of its own. */
export class SignedCache {
  readonly #directory: string;
  readonly #key: SecretKey;

  private constructor(directory: string, key: SecretKey) {
    this.#directory = directory;
    this.#key = key;
  }

  /** Begins one in an empty directory. */
  static async create(directory: string): Promise<SignedCache> {
    const keys = generateKeyPair('narrowcast-bench-1');
    await mkdir(join(directory, 'nar'));
    await writeFile(join(directory, publicKeyFile), keys.public);
    await writeFile(
      join(directory, 'nix-cache-info'),
      `StoreDir: ${storeDir}\nWantMassQuery: 1\nPriority: 40\n`,
    );
    return new SignedCache(directory, parseSecretKey(keys.secret));
  }

  /** Writes the narinfo, signed. */
  async add(narinfo: Omit<Narinfo, 'signatures' | 'extra'>): Promise<void> {
    const signatures = [sign(this.#key, fingerprint(narinfo, storeDir))];
    const text = printNarinfo({ ...narinfo, signatures, extra: [] }, storeDir);
    await writeFile(join(this.#directory, `${narinfo.storePath.hashPart}.narinfo`), text);
  }
}

/** The key that such a cache is signed with: `name:base64`, for trusted-public-keys. */
export function publicKeyOf(directory: string): Promise<string> {
  return readFile(join(directory, publicKeyFile), 'utf8');
}

/** The store path of that name in these caches. */
export function pathOf(name: string): StorePath {
  const digest = createHash('sha256').update(name).digest();
  return parseStoreBase(`${toBase32(digest.subarray(0, 20))}-${name}`);
}
