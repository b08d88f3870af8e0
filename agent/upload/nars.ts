import { Digest } from '../cache/digest.ts';
import type { Intake } from '../cache/intake.ts';
import { narUrl } from '../cache/layout.ts';
import type { PartialNar } from '../cache/nar-cache.ts';
import { narHashOf, parseHash } from '../nix/hash.ts';
import { noRoom, UploadError } from './error.ts';
import type { Turns } from './turns.ts';
import { isVerifiable, type UploadedFile } from './uploaded-file.ts';

/** Which bytes of a file come: from `start` up to `end`, of `size`. */
export interface Part {
  readonly start: number;
  readonly end: number;
  readonly size: number;
}

/** What is here of a file: all of it, or its first bytes. */
export type Presence = 'whole' | { readonly offset: number };

/** Takes in NAR files. They stay unseen until a narinfo comes that they are right for. */
export class UploadedNars {
  readonly #intake: Intake;
  readonly #turns: Turns;

  constructor(intake: Intake, turns: Turns) {
    this.#intake = intake;
    this.#turns = turns;
  }

  async presence(file: UploadedFile): Promise<Presence> {
    const hash = parseHash(`sha256:${file.fileHash}`);
    if (file.compressions.some((compression) => this.#intake.has(narUrl(hash, compression).name)))
      return 'whole';
    const staged = await this.#intake.look(file.fileHash);
    if (staged === undefined) return { offset: 0 };
    return staged.length === staged.meta.fileSize ? 'whole' : { offset: staged.length };
  }

  /**
   * Takes a file or the part that goes on where it stopped; `body` is called once it is known that the bytes are wanted. When they stop
   * coming, what came stays. Resolves to whether all of the file is here now.
   * @throws UploadError, and the body's own errors
   */
  async receive(file: UploadedFile, part: Part, body: () => AsyncIterable<Uint8Array>): Promise<boolean> {
    if (!isVerifiable(file))
      throw new UploadError(
        415,
        `A NAR compressed as ${file.compressions.join(' or ')} cannot be verified here: use zstd, xz, gzip, br or none.`,
      );
    return this.#turns.run(file.fileHash, async () => {
      const presence = await this.presence(file);
      if (presence === 'whole') return true;
      const there = part.start === 0 ? 0 : presence.offset;
      if (part.start !== there) throw wrongOffset(there);
      const verdict = await this.#intake.admits(part.size, there);
      if (verdict === 'too large')
        throw new UploadError(413, `A NAR of ${part.size} bytes is too large for this cache.`);
      const partial = verdict === 'yes' ? await this.#intake.open(file.fileHash) : undefined;
      if (partial === undefined) throw noRoom();
      try {
        return await take(partial, file, part, body);
      } finally {
        await partial.release();
      }
    });
  }
}

async function take(
  partial: PartialNar,
  file: UploadedFile,
  { start, end, size }: Part,
  body: () => AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const digest = new Digest();
  if (start === 0) {
    const [compression = 'none'] = file.compressions;
    const fileHash = parseHash(`sha256:${file.fileHash}`);
    const meta = { sourceId: 'upload', url: `nar/${file.name}`, compression, fileHash, fileSize: size };
    if (!(await partial.begin(meta))) throw noRoom();
  } else {
    if (partial.length !== start || partial.meta?.fileSize !== size) throw wrongOffset(partial.length);
    for await (const chunk of partial.read(0)) digest.add(chunk);
  }
  for await (const chunk of body()) {
    if (partial.length + chunk.length > end)
      throw new UploadError(400, `More than the ${end - start} bytes came that were announced.`);
    digest.add(chunk);
    if (!(await partial.append(chunk))) throw noRoom();
  }
  if (partial.length < end) throw new UploadError(400, `Fewer than ${end - start} bytes came.`);
  if (partial.length < size) return false;
  if (narHashOf(digest.hash()) === file.fileHash) return true;
  await partial.discard();
  throw new UploadError(422, `What came is not ${file.name}: its sha256 is another.`);
}

function wrongOffset(offset: number): UploadError {
  return new UploadError(409, `${offset} bytes of this file are here: go on there.`, { offset });
}
