import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Digest } from '../cache/digest.ts';
import { toBase32 } from '../nix/base32.ts';
import { fileExtension } from '../nix/compression.ts';
import { NarrowcastError } from '../nix/error.ts';
import { type Hash, narHashOf, parseHash } from '../nix/hash.ts';
import { PushError } from './error.ts';
import type { Packing } from './packing.ts';

/** A packed NAR on disk, ready to be sent and sent again. */
export interface SpoolFile {
  /** Where a binary cache has it: `nar/<file hash>.nar.zst`. */
  readonly url: string;
  readonly fileHash: Hash;
  /** Bytes. */
  readonly size: number;
  /** Whether an earlier run made it, and has perhaps sent a part. */
  readonly found: boolean;
  /**
   * Its bytes from there on.
   * @throws PushError `local` when the file fails, or ends before it should
   */
  read(offset: number): AsyncIterable<Uint8Array>;
  /** It is not needed any more; until then it stays, for a later run. */
  remove(): Promise<void>;
}

/** What no run came back for within this time goes, in ms: the server has let go of its part long before. */
const keptFor = 3 * 86_400_000;
/** An unfinished file whose process cannot be told any more, in ms. */
const unfinishedFor = 86_400_000;
const chunkSize = 64 * 1024;

/**
 * The directory where packed NARs wait until one server has them, as `<nar hash>-<file hash>.<compression>-<level>`: why it is needed
 * says docs/decisions/push-spool.md.
 */
export class Spool {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Opens the directory of a server under `base`, makes it where it is not, and removes what is of no use any more, to whichever
   * server it was to go.
   * @throws PushError `local` when it cannot be used
   */
  static async open(base: string, server: string): Promise<Spool> {
    const dir = join(base, server.replace(/[^0-9A-Za-z.-]+/g, '_'));
    try {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      for (const { name } of await readdir(base, { withFileTypes: true })) await clean(join(base, name));
    } catch (error) {
      throw unusable(dir, error);
    }
    return new Spool(dir);
  }

  /** What an earlier run has packed in this way. */
  async find(narHash: Hash, packing: Packing): Promise<SpoolFile | undefined> {
    const [start, end] = [`${narHashOf(narHash)}-`, ending(packing)];
    const name = (await readdir(this.#dir)).find((file) => file.startsWith(start) && file.endsWith(end));
    if (name === undefined) return undefined;
    try {
      const fileHash = parseHash(name.slice(start.length, -end.length), 'sha256');
      return await this.#opened(name, fileHash, packing, true);
    } catch {
      // Another push has just removed it, or the name is nobody's doing that we know.
      return undefined;
    }
  }

  /**
   * Writes what is packed already to a file; nothing stays of it when `bytes` fails.
   * @throws PushError `local` when the disk does, for example because it is full
   */
  async make(narHash: Hash, packing: Packing, bytes: AsyncIterable<Uint8Array>): Promise<SpoolFile> {
    const temporary = join(this.#dir, `.${process.pid}-${randomBytes(8).toString('hex')}`);
    const digest = new Digest();
    try {
      await write(temporary, digest.through(bytes));
      const fileHash = digest.hash();
      const name = `${narHashOf(narHash)}-${toBase32(fileHash.digest)}${ending(packing)}`;
      await rename(temporary, join(this.#dir, name));
      return await this.#opened(name, fileHash, packing, false);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error instanceof NarrowcastError || !isOfTheSystem(error) ? error : unusable(this.#dir, error);
    }
  }

  async #opened(name: string, fileHash: Hash, packing: Packing, found: boolean): Promise<SpoolFile> {
    const path = join(this.#dir, name);
    const { size } = await stat(path);
    return {
      url: `nar/${toBase32(fileHash.digest)}.nar${fileExtension(packing.compression)}`,
      fileHash,
      size,
      found,
      read: (offset) => read(path, offset, size),
      remove: () => rm(path, { force: true }),
    };
  }
}

function ending({ compression, level }: Packing): string {
  return `.${compression}-${level}`;
}

async function write(file: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    for await (const chunk of bytes) await handle.appendFile(chunk);
  } finally {
    await handle.close();
  }
}

async function* read(path: string, offset: number, size: number): AsyncGenerator<Uint8Array> {
  let at = offset;
  try {
    const stream = createReadStream(path, { start: offset, end: size - 1, highWaterMark: chunkSize });
    for await (const chunk of stream) {
      at += chunk.length;
      yield chunk;
    }
  } catch (cause) {
    throw new PushError('local', `The packed NAR ${path} cannot be read.`, { cause });
  }
  if (at < size) throw new PushError('local', `The packed NAR ${path} has become shorter.`);
}

async function clean(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const file = join(dir, name);
    const age = Date.now() - (await stat(file).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    const left = name.startsWith('.') ? age > unfinishedFor || !isAlive(name) : age > keptFor;
    if (left) await rm(file, { force: true });
  }
}

/** Whether the process that began this unfinished file may still be at it. */
function isAlive(name: string): boolean {
  const pid = Number(/^\.(\d+)-/.exec(name)?.[1]);
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function isOfTheSystem(error: unknown): boolean {
  return error instanceof Error && 'errno' in error;
}

function unusable(dir: string, cause: unknown): PushError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `Packed NARs cannot be kept in ${dir}: ${reason}. Choose another place with --spool-dir.`;
  return new PushError('local', message, { cause });
}
