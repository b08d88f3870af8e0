import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Compression, fileExtension } from '../nix/compression.ts';
import { type Hash, narHashOf } from '../nix/hash.ts';
import { type HashPart, isHashPart } from '../nix/store-path.ts';

/** A folder of partial files. */
export interface PartialFolder {
  readonly partials: string;
  partial(name: string): string;
  /** Whether the name is of a file that this process is writing. */
  isTemporary(name: string): boolean;
}

/**
 * Where everything is in the cache directory. What Nix knows is as `nix copy --to file://` writes it (Nix 2.8,
 * src/libstore/binary-cache-store.cc and local-binary-cache-store.cc): `nix-cache-info`, `<hash part>.narinfo`,
 * `nar/<file hash>.nar<extension>`. Beside it, invisible to Nix: `partial/`, `uploads/`, `quarantine/`,
 * `pins/`, `roots/`, `state/` and `lock`.
 */
export class Layout implements PartialFolder {
  readonly dir: string;
  readonly cacheInfo: string;
  readonly nars: string;
  readonly partials: string;
  /** NARs that were uploaded, whole or not, and that no narinfo names yet. */
  readonly uploads: PartialFolder;
  readonly quarantine: string;
  readonly pins: string;
  readonly roots: string;
  readonly lock: string;
  /** What the agent remembers from one start to the next. */
  readonly state: string;
  readonly #process = randomBytes(8).toString('hex');
  #temporaries = 0;

  constructor(dir: string) {
    this.dir = dir;
    this.cacheInfo = join(dir, 'nix-cache-info');
    this.nars = join(dir, 'nar');
    this.partials = join(dir, 'partial');
    const uploads = join(dir, 'uploads');
    this.uploads = { partials: uploads, partial: (name) => join(uploads, name), isTemporary: () => false };
    this.quarantine = join(dir, 'quarantine');
    this.pins = join(dir, 'pins');
    this.roots = join(dir, 'roots');
    this.lock = join(dir, 'lock');
    this.state = join(dir, 'state');
  }

  narinfo(hashPart: HashPart): string {
    return join(this.dir, narinfoName(hashPart));
  }

  /** What `nix copy` writes beside a narinfo with `write-nar-listing`. */
  listing(hashPart: HashPart): string {
    return join(this.dir, `${hashPart}.ls`);
  }

  nar(file: NarFile): string {
    return join(this.nars, file);
  }

  partial(name: string): string {
    return join(this.partials, name);
  }

  /** Where to write something before it gets its own name; no other process uses the same. */
  temporary(): string {
    this.#temporaries += 1;
    return this.partial(`${this.#process}.${this.#temporaries}.tmp`);
  }

  /** Whether `temporary` made this name in `partial/`, in this process. */
  isTemporary(name: string): boolean {
    return name.startsWith(`${this.#process}.`);
  }

  setAside(name: string): string {
    return join(this.quarantine, name);
  }
}

declare const brand: unique symbol;

/** The name of a file in `nar/`, without any directory. */
export type NarFile = string & { readonly [brand]: 'NarFile' };

/** Whether the name is one that this cache keeps in `nar/`. */
export function isNarFile(name: string): name is NarFile {
  return /^[0-9a-zA-Z][0-9a-zA-Z+._=-]{0,199}$/.test(name);
}

/** The file that a stored narinfo's URL names; undefined when that is not directly in `nar/`. */
export function narFileOf(url: string): NarFile | undefined {
  const name = url.startsWith('nar/') ? url.slice(4) : '';
  return isNarFile(name) ? name : undefined;
}

/** The URL of a NAR file with that sha256, and its name in `nar/`. */
export function narUrl(fileHash: Hash, compression: Compression): { url: string; name: NarFile } {
  const name = `${narHashOf(fileHash)}.nar${fileExtension(compression)}`;
  if (!isNarFile(name)) throw new TypeError(`${name} is not a name for a NAR`);
  return { url: `nar/${name}`, name };
}

export function narinfoName(hashPart: HashPart): string {
  return `${hashPart}.narinfo`;
}

/** The hash part of `<hash part>.narinfo`; undefined for any other name. */
export function hashPartOfName(name: string): HashPart | undefined {
  const hashPart = name.slice(0, 32);
  return name.length === 40 && name.endsWith('.narinfo') && isHashPart(hashPart) ? hashPart : undefined;
}
