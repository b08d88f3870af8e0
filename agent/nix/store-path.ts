import { FormatError, quote } from './error.ts';

declare const brand: unique symbol;

/** The 32 base32 characters that begin a store path's last component: how caches name it. */
export type HashPart = string & { readonly [brand]: 'HashPart' };

/** A store path without its store directory. */
export interface StorePath {
  readonly hashPart: HashPart;
  readonly name: string;
  /** `hashPart-name`, the form of a narinfo's References. */
  readonly base: string;
}

/** Whether the text is 32 characters of Nix's base32. */
export function isHashPart(text: string): text is HashPart {
  return /^[0-9a-df-np-sv-z]{32}$/.test(text);
}

/**
 * A full path such as `/nix/store/<hash>-<name>`, written exactly so (no `//`, no file inside the path).
 * @throws FormatError for anything else
 */
export function parseStorePath(path: string, storeDir: string): StorePath {
  if (!path.startsWith(`${storeDir}/`)) {
    throw new FormatError(
      'bad-store-path',
      `The path ${quote(path)} is not directly in the store ${storeDir}.`,
    );
  }
  return parseStoreBase(path.slice(storeDir.length + 1));
}

/**
 * `<hash>-<name>`, by the rules of Nix (2.8 and later, src/libstore/path.cc).
 * @throws FormatError for anything else
 */
export function parseStoreBase(base: string): StorePath {
  const hashPart = base.slice(0, 32);
  const name = base.slice(33);
  if (!isHashPart(hashPart) || base[32] !== '-' || !isName(name)) {
    throw new FormatError('bad-store-path', `${quote(base)} is not a store path's <hash>-<name>.`);
  }
  return { hashPart, name, base };
}

/** The full path. */
export function printStorePath(path: StorePath, storeDir: string): string {
  return `${storeDir}/${path.base}`;
}

/** The full paths sorted by byte, each once: the order in which Nix signs and hashes references. */
export function sortedPaths(paths: readonly StorePath[], storeDir: string): string[] {
  return [...new Set(paths.map((path) => printStorePath(path, storeDir)))].sort();
}

/** Later Nix also refuses names whose first component, up to a dash, is `.` or `..`. */
function isName(text: string): boolean {
  return /^(?!\.\.?(?:-|$))[0-9a-zA-Z+\-._?=]{1,211}$/.test(text);
}
