import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { type Narinfo, printNarinfo } from '../../../../agent/nix/narinfo.ts';
import { generateKeyPair, parseSecretKey, type SecretKey, sign } from '../../../../agent/nix/secret-key.ts';
import { fingerprint, type PublicKey, parsePublicKey } from '../../../../agent/nix/signature.ts';
import { type Sample, type SampleOptions, sample, storeDir } from '../../cache/support/sample.ts';

export type { Sample };
export { sample, storeDir };

/** A key that signs, and what verifies it. */
export interface TestKey {
  readonly secret: SecretKey;
  readonly trusted: ReadonlyMap<string, PublicKey>;
}

export function testKey(name = 'cache.example-1'): TestKey {
  const pair = generateKeyPair(name);
  return { secret: parseSecretKey(pair.secret), trusted: new Map([[name, parsePublicKey(pair.public)]]) };
}

/** The narinfo with a true signature. */
export function signed(narinfo: Narinfo, key: TestKey): Narinfo {
  return { ...narinfo, signatures: [sign(key.secret, fingerprint(narinfo, storeDir))] };
}

/** A path as a cache has it, signed. */
export function signedSample(key: TestKey, options: SampleOptions = {}): Sample {
  const made = sample(options);
  return { ...made, narinfo: signed(made.narinfo, key) };
}

/** The text of a path's narinfo. */
export function narinfoText({ narinfo }: Pick<Sample, 'narinfo'>): string {
  return printNarinfo(narinfo, storeDir);
}

/** Where a cache has the narinfo. */
export function narinfoPath({ narinfo }: Pick<Sample, 'narinfo'>): string {
  return `/${narinfo.storePath.hashPart}.narinfo`;
}

export const cacheInfoText = `StoreDir: ${storeDir}\nWantMassQuery: 1\nPriority: 41\n`;

/** A binary cache's files by path; what is not said is `nix-cache-info` only. */
export function cacheFiles(samples: readonly Sample[] = []): Map<string, Buffer> {
  const files = new Map<string, Buffer>([['/nix-cache-info', Buffer.from(cacheInfoText)]]);
  for (const one of samples) {
    files.set(narinfoPath(one), Buffer.from(narinfoText(one)));
    files.set(`/${one.narinfo.url}`, one.file);
  }
  return files;
}

/** A directory of the test's own, removed after it. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await realpath(await mkdtemp(path.join(tmpdir(), 'narrowcast-source-')));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Lays the files out in a directory. */
export async function writeFiles(directory: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [name, contents] of files) {
    const file = path.join(directory, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, contents);
  }
}
