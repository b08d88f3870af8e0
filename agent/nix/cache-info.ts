import { FormatError, quote } from './error.ts';

/** A cache's self-description, the file nix-cache-info. */
export interface CacheInfo {
  /** The store that its paths are for; the reader's own when absent. */
  readonly storeDir?: string;
  /** Whether it may be asked for many paths at once. */
  readonly wantMassQuery: boolean;
  /** Lower is asked first; Nix takes an absent one as 0. */
  readonly priority?: number;
}

const maxCacheInfoLength = 65536;

/**
 * Reads nix-cache-info (Nix 2.8, BinaryCacheStore::init in src/libstore/binary-cache-store.cc). Unknown lines and
 * a Priority that is not a whole number from 0 on are ignored.
 * @throws FormatError when it has none of the three fields (HTML, an empty file), a StoreDir that is not an
 *   absolute path, or more than 64 KiB
 */
export function parseCacheInfo(text: string): CacheInfo {
  const fields = readFields(text);
  const storeDir = fields.get('StoreDir');
  const priority = fields.get('Priority');
  return {
    ...(storeDir !== undefined && { storeDir: checkStoreDir(storeDir) }),
    wantMassQuery: fields.get('WantMassQuery') === '1',
    ...(priority !== undefined && /^\d{1,9}$/.test(priority) && { priority: Number(priority) }),
  };
}

/** The file's text. */
export function printCacheInfo(info: CacheInfo): string {
  return [
    ...(info.storeDir === undefined ? [] : [`StoreDir: ${info.storeDir}\n`]),
    `WantMassQuery: ${info.wantMassQuery ? 1 : 0}\n`,
    ...(info.priority === undefined ? [] : [`Priority: ${info.priority}\n`]),
  ].join('');
}

function readFields(text: string): ReadonlyMap<string, string> {
  if (text.length > maxCacheInfoLength)
    throw notCacheInfo(`it is longer than ${maxCacheInfoLength} characters`);
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    const key = line.slice(0, Math.max(colon, 0));
    if (/^(?:StoreDir|WantMassQuery|Priority)$/.test(key)) fields.set(key, line.slice(colon + 1).trim());
  }
  if (fields.size === 0) throw notCacheInfo(`it begins with ${quote(text)}`);
  return fields;
}

function checkStoreDir(text: string): string {
  if (!/^\/[^\p{Cc}]*$/u.test(text))
    throw notCacheInfo(`its StoreDir ${quote(text)} is not an absolute path`);
  return text;
}

function notCacheInfo(reason: string): FormatError {
  return new FormatError('bad-cache-info', `This is not a nix-cache-info: ${reason}.`);
}
