import type { Narinfo } from '../nix/narinfo.ts';
import { parseStoreBase, type StorePath } from '../nix/store-path.ts';

/**
 * The same narinfo with strings of its own. A part of a text keeps the whole text in memory, and who sends a narinfo can make that
 * 64 KiB: what is remembered for long must not be such a part.
 */
export function detached(narinfo: Narinfo): Narinfo {
  const { url, deriver, ca } = narinfo;
  return {
    ...narinfo,
    storePath: detachedPath(narinfo.storePath),
    url: copyOf(url),
    references: narinfo.references.map(detachedPath),
    ...(deriver !== undefined && { deriver: copyOf(deriver) }),
    signatures: narinfo.signatures.map(({ keyName, bytes }) => ({ keyName: copyOf(keyName), bytes })),
    ...(ca !== undefined && { ca: copyOf(ca) }),
    extra: narinfo.extra.map(([key, value]) => [copyOf(key), copyOf(value)] as const),
  };
}

/** The same text in memory of its own. */
export function copyOf(text: string): string {
  return Buffer.from(text).toString();
}

/** What a detached narinfo and its text take in memory, in bytes: rather more than less, as measured with Node 24. */
export function memoryOf({ references, signatures, extra }: Narinfo): number {
  const lines = references.length + signatures.length;
  const fields = extra.reduce((bytes, [key, value]) => bytes + key.length + value.length + perField, 0);
  return perNarinfo + lines * perLine + fields;
}

const perNarinfo = 2_500;
const perLine = 250;
const perField = 150;

function detachedPath({ base }: StorePath): StorePath {
  return parseStoreBase(copyOf(base));
}
