import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { type Files, type OpenFile, type OpenMode, realFiles } from '../../../../agent/cache/files.ts';

/** What a disk was told, in order. */
export type Operation =
  | { readonly kind: 'create' | 'link' | 'remove'; readonly path: string; readonly file: number }
  | { readonly kind: 'write'; readonly file: number; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'sync'; readonly file: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly file: number }
  | { readonly kind: 'syncDirectory'; readonly path: string };

/** The real file system, and a record of all that it was told to change. */
export class RecordingFiles implements Files {
  readonly operations: Operation[] = [];
  readonly #names = new Map<string, number>();
  #files = 0;

  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    const opened = await realFiles.open(path, mode);
    if (mode === 'create') this.#create(path);
    const file = this.#names.get(path) ?? this.#create(path);
    return {
      facts: () => opened.facts(),
      read: (into, position) => opened.read(into, position),
      write: async (bytes, position) => {
        const count = await opened.write(bytes, position);
        this.operations.push({ kind: 'write', file, position, bytes: Buffer.from(bytes.subarray(0, count)) });
        return count;
      },
      sync: async () => {
        await opened.sync();
        this.operations.push({ kind: 'sync', file });
      },
      close: () => opened.close(),
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await realFiles.rename(from, to);
    const file = this.#names.get(from) ?? this.#create(from);
    this.#names.delete(from);
    this.#names.set(to, file);
    this.operations.push({ kind: 'rename', from, to, file });
  }

  async link(from: string, to: string): Promise<void> {
    await realFiles.link(from, to);
    const file = this.#names.get(from) ?? this.#create(from);
    this.#names.set(to, file);
    this.operations.push({ kind: 'link', path: to, file });
  }

  async remove(path: string): Promise<void> {
    await realFiles.remove(path);
    const file = this.#names.get(path) ?? this.#create(path);
    this.#names.delete(path);
    this.operations.push({ kind: 'remove', path, file });
  }

  async syncDirectory(path: string): Promise<void> {
    const upTo = this.operations.length;
    await realFiles.syncDirectory(path);
    // What came while it ran may have missed it.
    this.operations.splice(upTo, 0, { kind: 'syncDirectory', path });
  }

  stat = realFiles.stat;
  list = realFiles.list;
  makeDirectory = realFiles.makeDirectory;
  touch = realFiles.touch;
  space = realFiles.space;

  #create(path: string): number {
    this.#files += 1;
    this.#names.set(path, this.#files);
    this.operations.push({ kind: 'create', path, file: this.#files });
    return this.#files;
  }
}

/** A file's name and contents after the power came back. */
export type Survivors = ReadonlyMap<string, Buffer>;

/**
 * What is on the disk when the power fails after the given operations. Of each file only what was synced is sure; of each directory only
 * the changes up to its last sync are, and of the later ones the disk has done as many as `lucky` says (0 to 1), in order, each
 * directory by itself: no file system does worse.
 */
export function afterPowerLoss(operations: readonly Operation[], lucky: (path: string) => number): Survivors {
  const written = new Map<number, Buffer>();
  const durable = new Map<number, Buffer>();
  const changes = new Map<string, { name: string; file: number | undefined; synced: boolean }[]>();
  const change = (path: string, file: number | undefined) => {
    const directory = changes.get(dirname(path)) ?? [];
    directory.push({ name: path, file, synced: false });
    changes.set(dirname(path), directory);
  };
  for (const operation of operations) {
    switch (operation.kind) {
      case 'create':
      case 'link':
        change(operation.path, operation.file);
        break;
      case 'remove':
        change(operation.path, undefined);
        break;
      case 'rename':
        change(operation.from, undefined);
        change(operation.to, operation.file);
        break;
      case 'write':
        written.set(
          operation.file,
          overlaid(written.get(operation.file), operation.bytes, operation.position),
        );
        break;
      case 'sync':
        durable.set(operation.file, written.get(operation.file) ?? Buffer.alloc(0));
        break;
      case 'syncDirectory':
        for (const each of changes.get(operation.path) ?? []) each.synced = true;
    }
  }
  const survivors = new Map<string, Buffer>();
  for (const [path, list] of changes) {
    const sure = list.filter(({ synced }) => synced);
    const open = list.slice(sure.length);
    const done = open.slice(0, Math.round(lucky(path) * open.length));
    for (const { name, file } of [...sure, ...done]) {
      if (file === undefined) survivors.delete(name);
      else survivors.set(name, durable.get(file) ?? Buffer.alloc(0));
    }
  }
  return survivors;
}

/** Puts what survived under `from` into another directory. */
export async function restore(survivors: Survivors, from: string, to: string): Promise<void> {
  for (const [path, bytes] of survivors) {
    const target = join(to, relative(from, path));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, bytes);
  }
}

/** Narinfos among the survivors, by path. */
export function narinfosOf(survivors: Survivors, dir: string): [path: string, text: string][] {
  return [...survivors].flatMap(([path, bytes]) =>
    dirname(path) === dir && basename(path).endsWith('.narinfo') ? [[path, bytes.toString()]] : [],
  );
}

function overlaid(old: Buffer = Buffer.alloc(0), bytes: Buffer, position: number): Buffer {
  const result = Buffer.alloc(Math.max(old.length, position + bytes.length));
  old.copy(result);
  bytes.copy(result, position);
  return result;
}
