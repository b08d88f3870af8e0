import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { compressions } from '../nix/compression.ts';
import { FormatError } from '../nix/error.ts';
import { formatHash, isNarHash, type NarHash, parseHash } from '../nix/hash.ts';
import type { PartialMeta } from './nar-cache.ts';

/** What the side file of a partial file says. */
export interface SideFile {
  readonly meta: PartialMeta;
  /** The name of the file with the bytes. */
  readonly data: string;
}

/** No side file is longer, in bytes. */
export const maxSideFile = 8192;

const schema = v.strictObject({
  data: v.string(),
  sourceId: v.string(),
  url: v.string(),
  compression: v.picklist(compressions),
  fileHash: v.optional(v.string()),
  fileSize: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
});

/** The side file's name in `partial/`. */
export function sideName(narHash: NarHash): string {
  return `${narHash}.json`;
}

/** The NAR of a side file by that name; undefined for any other name. */
export function narHashOfSideName(name: string): NarHash | undefined {
  const narHash = name.slice(0, -'.json'.length);
  return name.endsWith('.json') && isNarHash(narHash) ? narHash : undefined;
}

/** A new name for the bytes of that NAR. */
export function newDataName(narHash: NarHash): string {
  return `${narHash}.${randomBytes(4).toString('hex')}`;
}

export function printSideFile({ meta, data }: SideFile): string {
  const { fileHash, ...rest } = meta;
  return JSON.stringify({ data, ...rest, ...(fileHash && { fileHash: formatHash(fileHash, 'base32') }) });
}

/** Undefined when the text is not a whole side file of that NAR. */
export function parseSideFile(text: string, narHash: NarHash): SideFile | undefined {
  try {
    const { data, fileHash, fileSize, ...meta } = v.parse(schema, JSON.parse(text));
    if (!isDataName(data, narHash)) return undefined;
    return {
      data,
      meta: {
        ...meta,
        ...(fileHash !== undefined && { fileHash: parseHash(fileHash) }),
        ...(fileSize !== undefined && { fileSize }),
      },
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof v.ValiError || error instanceof FormatError)
      return undefined;
    throw error;
  }
}

function isDataName(name: string, narHash: NarHash): boolean {
  return name.startsWith(`${narHash}.`) && /^[0-9a-f]{8}$/.test(name.slice(narHash.length + 1));
}
