import { isDecodable } from '../nix/compression.ts';
import { decode } from '../nix/decode.ts';
import { FormatError } from '../nix/error.ts';
import { sameHash } from '../nix/hash.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { Digest } from './digest.ts';

/** What a check of a NAR file against its narinfo found. `undecodable`: as far as can be told, for the compression is one that narrowcast cannot undo. */
export type NarCheck = 'right' | 'undecodable' | { readonly wrong: string };

/**
 * Reads a whole NAR file and compares it with FileHash and FileSize, where the narinfo has them, and NarHash and NarSize. Never
 * decodes more than NarSize. The bytes' own errors come through.
 */
export async function checkNar(narinfo: Narinfo, bytes: AsyncIterable<Uint8Array>): Promise<NarCheck> {
  const file = new Digest();
  if (!isDecodable(narinfo.compression)) {
    for await (const chunk of bytes) file.add(chunk);
    return fileFault(narinfo, file) ?? 'undecodable';
  }
  const nar = new Digest();
  try {
    for await (const chunk of decode(narinfo.compression, file.through(bytes))) {
      nar.add(chunk);
      if (nar.size > narinfo.narSize) return { wrong: `its NAR is longer than ${narinfo.narSize} bytes` };
    }
  } catch (error) {
    if (error instanceof FormatError) return { wrong: error.message };
    throw error;
  }
  if (nar.size !== narinfo.narSize) return { wrong: `its NAR has ${nar.size} of ${narinfo.narSize} bytes` };
  if (!sameHash(nar.hash(), narinfo.narHash)) return { wrong: 'its NAR has another NarHash' };
  return fileFault(narinfo, file) ?? 'right';
}

/** Whether a file is the one that the narinfo describes: by FileHash, which is quick, or by NarHash where there is no such. The bytes' own errors come through. */
export async function isRightFile(narinfo: Narinfo, bytes: AsyncIterable<Uint8Array>): Promise<boolean> {
  if (narinfo.fileHash?.algorithm !== 'sha256') {
    const check = await checkNar(narinfo, bytes);
    return check === 'right' || check === 'undecodable';
  }
  const file = new Digest();
  for await (const chunk of bytes) file.add(chunk);
  return fileFault(narinfo, file) === undefined;
}

function fileFault({ fileHash, fileSize }: Narinfo, file: Digest): { wrong: string } | undefined {
  if (fileSize !== undefined && file.size !== fileSize)
    return { wrong: `its file has ${file.size} bytes instead of ${fileSize}` };
  if (fileHash !== undefined && !sameHash(file.hash(), fileHash))
    return { wrong: 'its file has another FileHash' };
  return undefined;
}
