import { dirname } from 'node:path';
import { isAbsent } from './error.ts';
import type { Files, OpenFile } from './files.ts';
import type { GroupedSync } from './grouped-sync.ts';

/**
 * A whole file, read into the buffer; undefined when there is none or it does not leave a byte of the buffer free.
 * Rejects with the system's errors.
 */
export async function readSmall(files: Files, path: string, into: Buffer): Promise<Buffer | undefined> {
  const file = await files.open(path, 'read').catch((error: unknown) => {
    if (isAbsent(error)) return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const count = await file.read(into, 0);
    return count < into.length ? into.subarray(0, count) : undefined;
  } finally {
    await file.close();
  }
}

/** Writes a file that is, at any moment and after any power loss, either as it was or as given, and durable once this resolves. */
export async function writeDurably(
  files: Files,
  sync: GroupedSync,
  path: string,
  temporary: string,
  text: string,
): Promise<void> {
  try {
    await writeSmall(files, temporary, text, (file) => file.sync());
    await files.rename(temporary, path);
  } catch (error) {
    await files.remove(temporary).catch(() => {});
    throw error;
  }
  await sync.directory(dirname(path));
}

/** Writes a file in place of what is there; `then` is done while it is still open. */
export async function writeSmall(
  files: Files,
  path: string,
  text: string,
  then: (file: OpenFile) => Promise<void> = async () => {},
): Promise<void> {
  const file = await files.open(path, 'create');
  try {
    await writeAll(file, Buffer.from(text), 0);
    await then(file);
  } finally {
    await file.close();
  }
}

/** Writes all bytes, telling how many are there each time that some are. */
export async function writeAll(
  file: OpenFile,
  bytes: Uint8Array,
  position: number,
  written: (count: number) => void = () => {},
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const count = await file.write(bytes.subarray(done), position + done);
    done += count;
    written(count);
  }
}

/** Removes a file; one that is not there is no error. */
export async function removeIfThere(files: Files, path: string): Promise<void> {
  await files.remove(path).catch((error: unknown) => {
    if (!isAbsent(error)) throw error;
  });
}

/** The names in a directory; none when it is not there. */
export async function listIfThere(files: Files, directory: string): Promise<string[]> {
  try {
    return await files.list(directory);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}
