import { isNarHash, type NarHash, narHashOf, parseHash } from '../nix/hash.ts';
import { maxNarinfoBytes } from '../nix/narinfo.ts';
import { type HashPart, isHashPart } from '../nix/store-path.ts';
import type { Files } from './files.ts';
import { type NarFile, narFileOf } from './layout.ts';
import { derivationKey, type Relations } from './references.ts';
import { readSmall } from './small-files.ts';

/** What the index needs of a narinfo. */
export interface NarinfoFacts {
  readonly file: NarFile;
  readonly narHash: NarHash;
  readonly relations: Relations;
}

/** Reads many narinfos for what the index needs, several at a time: four lines of each, and a buffer for as many as are under way. */
export class NarinfoFactsReader {
  readonly #files: Files;
  readonly #free: Buffer[] = [];

  constructor(files: Files) {
    this.#files = files;
  }

  /** The facts of the narinfo at `path`; undefined when it cannot be read or is none. */
  async read(path: string): Promise<NarinfoFacts | undefined> {
    const buffer = this.#free.pop() ?? Buffer.allocUnsafe(maxNarinfoBytes + 1);
    try {
      return parse((await readSmall(this.#files, path, buffer))?.toString('latin1') ?? '');
    } catch {
      return undefined;
    } finally {
      this.#free.push(buffer);
    }
  }
}

function parse(text: string): NarinfoFacts | undefined {
  const file = narFileOf(field(text, 'URL'));
  const references = parseReferences(field(text, 'References'));
  const relations = { references, derivation: derivationKey(field(text, 'Deriver')) };
  return file && { file, narHash: parseNarHash(field(text, 'NarHash')), relations };
}

function field(text: string, key: keyof typeof fields): string {
  return fields[key].exec(text)?.[1] ?? '';
}

const fields = {
  URL: /^URL:\s*(\S+)/m,
  NarHash: /^NarHash:\s*(\S+)/m,
  References: /^References:[ \t]*(.*)/m,
  Deriver: /^Deriver:[ \t]*(\S+)/m,
};

function parseReferences(text: string): HashPart[] {
  return text
    .split(/\s+/)
    .map((base) => base.slice(0, 32))
    .filter(isHashPart);
}

function parseNarHash(text: string): NarHash {
  const digest = text.slice('sha256:'.length);
  return text.startsWith('sha256:') && isNarHash(digest) ? digest : narHashOf(parseHash(text));
}
