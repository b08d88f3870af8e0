import { createHash } from 'node:crypto';

/** Somebody who may upload. */
export interface Uploader {
  readonly name: string;
  /** The keys whose signatures count for what they upload; undefined: every trusted key. */
  readonly keys: ReadonlySet<string> | undefined;
}

/** An uploader and how to know them: the sha256 of their name and the sha256 of their token. */
export interface TokenLine {
  readonly uploader: Uploader;
  readonly name: Buffer;
  readonly token: Buffer;
}

const mostLines = 1_000;

/**
 * Reads `NAME:TOKEN` or `NAME:sha256:HEX` and then key names, apart by white space, line by line; empty lines and those that begin
 * with `#` are passed over. `broken` has the numbers of the lines that are none of this, from 1; those after the thousandth are.
 */
export function parseTokenFile(text: string): { lines: TokenLine[]; broken: number[] } {
  const lines: TokenLine[] = [];
  const broken: number[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    const words = line.trim();
    if (words === '' || words.startsWith('#')) continue;
    const parsed = lines.length < mostLines ? parseLine(words.split(/\s+/)) : undefined;
    if (parsed === undefined) broken.push(at + 1);
    else lines.push(parsed);
  }
  return { lines, broken };
}

/** The sha256 of a text. */
export function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function parseLine([credentials = '', ...keys]: readonly string[]): TokenLine | undefined {
  const [, name, secret] = /^([^:]{1,255}):(.{1,1024})$/.exec(credentials) ?? [];
  if (name === undefined || secret === undefined || !keys.every(isKeyName)) return undefined;
  const token = secret.startsWith('sha256:') ? parseDigest(secret.slice('sha256:'.length)) : digestOf(secret);
  if (token === undefined) return undefined;
  const uploader = { name, keys: keys.length === 0 ? undefined : new Set(keys) };
  return { uploader, name: digestOf(name), token };
}

function parseDigest(hex: string): Buffer | undefined {
  return /^[0-9a-fA-F]{64}$/.test(hex) ? Buffer.from(hex, 'hex') : undefined;
}

function isKeyName(word: string): boolean {
  return /^[^\s:]{1,255}$/.test(word);
}
