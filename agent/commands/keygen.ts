import { rm, writeFile } from 'node:fs/promises';
import { FormatError, NarrowcastError } from '../nix/error.ts';
import { generateKeyPair } from '../nix/secret-key.ts';
import { UsageError } from './usage-error.ts';

/** Where the keys go; stdout without a file. */
export interface KeyFiles {
  readonly secretKeyFile?: string;
  readonly publicKeyFile?: string;
}

/**
 * Makes a key pair to sign store paths with. What it writes is what `nix-store --generate-binary-cache-key` writes:
 * in a file the key alone, without a newline; on stdout a line for each, the secret one first. Files are never
 * overwritten, and a secret is not shown on a terminal.
 * @throws UsageError for a name that Nix would not read, or when a secret would appear on the terminal
 */
export async function keygen(name: string, { secretKeyFile, publicKeyFile }: KeyFiles): Promise<void> {
  if (secretKeyFile === undefined && process.stdout.isTTY) {
    throw new UsageError(
      'The secret key would appear on this terminal: add --secret-key-file FILE, or redirect the output.',
    );
  }
  const pair = newPair(name);
  if (publicKeyFile !== undefined) await create(publicKeyFile, pair.public, 0o644);
  if (secretKeyFile !== undefined) {
    try {
      await create(secretKeyFile, pair.secret, 0o600);
    } catch (error) {
      if (publicKeyFile !== undefined) await rm(publicKeyFile);
      throw error;
    }
  }
  if (secretKeyFile === undefined) process.stdout.write(`${pair.secret}\n`);
  if (publicKeyFile === undefined) process.stdout.write(`${pair.public}\n`);
}

function newPair(name: string) {
  try {
    return generateKeyPair(name);
  } catch (error) {
    throw error instanceof FormatError ? new UsageError(error.message) : error;
  }
}

async function create(file: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx', mode, flush: true });
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    const reason = exists ? 'it exists, and a key is never overwritten: choose another name.' : String(cause);
    throw new NarrowcastError('key-file', `${file} was not written: ${reason}`, { cause });
  }
}
