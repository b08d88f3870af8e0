import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { narAround } from '../../fixtures/nar.ts';

/** Where programs and libraries are on any Linux machine: what a NAR is usually made of. */
const library = '/usr/lib';
const maxFileBytes = 8 * 1024 * 1024;

/**
 * Writes the NAR of a regular file of `size` bytes that holds `label` and then many files of this machine, each after its name, as
 * in a tar. The same bytes for the same label on an unchanged machine.
 * @throws Error when the machine has too few files
 */
export async function writeNar(file: string, size: number, label: string): Promise<void> {
  await pipeline(narOf(size, label), createWriteStream(file));
}

async function* narOf(size: number, label: string): AsyncGenerator<Uint8Array> {
  const { before, after } = narAround(size);
  yield before;
  yield* contents(size, label);
  yield after;
}

async function* contents(size: number, label: string): AsyncGenerator<Uint8Array> {
  let left = size;
  for await (const chunk of namesAndFiles(label)) {
    yield chunk.subarray(0, left);
    left -= Math.min(left, chunk.length);
    if (left === 0) return;
  }
  throw new Error(`There are fewer than ${size} bytes of files in ${library}.`);
}

async function* namesAndFiles(label: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(label);
  for (const file of await mixedFiles()) {
    const { size } = await stat(file);
    if (size > maxFileBytes) continue;
    yield Buffer.from(file);
    yield* createReadStream(file);
  }
}

/** In the order of their names' hashes: every stretch is a mixture of all kinds. */
async function mixedFiles(): Promise<string[]> {
  const entries = await readdir(library, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const order = new Map(files.map((file) => [file, createHash('sha256').update(file).digest('hex')]));
  return files.sort((a, b) => ((order.get(a) ?? '') < (order.get(b) ?? '') ? -1 : 1));
}
