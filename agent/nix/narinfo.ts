import { type Compression, parseCompression } from './compression.ts';
import { FormatError, quote } from './error.ts';
import { formatHash, type Hash, parseHash } from './hash.ts';
import { isNarUrl } from './nar-url.ts';
import { maxSignatures, parseSignature, printSignature, type Signable, type Signature } from './signature.ts';
import {
  type HashPart,
  parseStoreBase,
  parseStorePath,
  printStorePath,
  type StorePath,
} from './store-path.ts';

/** What a binary cache says of one store path. Its signatures cover what `Signable` has, nothing else. */
export interface Narinfo extends Signable {
  /** Where the NAR file is, relative to the cache. */
  readonly url: string;
  readonly compression: Compression;
  /** The sha256 of the file at `url`, as claimed. */
  readonly fileHash?: Hash;
  /** Bytes of the file at `url`, as claimed. */
  readonly fileSize?: number;
  /** `<hash>-<name>` of the derivation, as claimed. */
  readonly deriver?: string;
  readonly signatures: readonly Signature[];
  /** The content address as written and unchecked: see content-address.ts. */
  readonly ca?: string;
  /** Unknown fields, in order. */
  readonly extra: readonly (readonly [key: string, value: string])[];
}

/** What a narinfo says of the file that holds the NAR. */
export type NarinfoFile = Pick<Narinfo, 'url' | 'compression' | 'fileHash' | 'fileSize'>;

/** No narinfo is longer than this (64 KiB). */
export const maxNarinfoBytes = 65536;

const maxLines = 1024;

/**
 * Reads a narinfo with the meaning that Nix gives it (2.8, src/libstore/nar-info.cc): the last of repeated
 * fields counts, but References and CA may not be repeated, and no Compression means bzip2. More tolerant than
 * Nix of the writing: CRLF, blank lines and a missing last newline do no harm, and a malformed FileHash,
 * FileSize, Deriver or Sig is dropped, since nobody needs it.
 * @throws FormatError when a needed field is absent, any other is malformed, or the text is too long
 */
export function parseNarinfo(text: string, storeDir: string): Narinfo {
  const { fields, signatures, extra } = readLines(text);
  const fileHash = optional(fields.get('FileHash'), parseSha256);
  const fileSize = optional(fields.get('FileSize'), parseSize);
  const deriver = optional(fields.get('Deriver'), parseStoreBase)?.base;
  const ca = fields.get('CA');
  return {
    storePath: parseStorePath(needed(fields, 'StorePath'), storeDir),
    url: parseUrl(needed(fields, 'URL')),
    compression: parseCompressionField(fields.get('Compression')),
    ...(fileHash !== undefined && { fileHash }),
    ...(fileSize !== undefined && { fileSize }),
    narHash: parseSha256(needed(fields, 'NarHash')),
    narSize: parseSize(needed(fields, 'NarSize')),
    references: parseReferences(fields.get('References')),
    ...(deriver !== undefined && { deriver }),
    signatures: signatures.flatMap((line) => optional(line, parseSignature) ?? []),
    ...(ca && { ca }),
    extra,
  };
}

/**
 * Writes a narinfo as strictly as every Nix since 2.8 wants it: final newline, no CR, no blank line,
 * `References: ` with its space.
 * @throws FormatError when a value would break its line
 */
export function printNarinfo(narinfo: Narinfo, storeDir: string): string {
  const { fileHash, fileSize, deriver, ca } = narinfo;
  const lines: (readonly [key: string, value: string])[] = [
    ['StorePath', printStorePath(narinfo.storePath, storeDir)],
    ['URL', narinfo.url],
    ['Compression', narinfo.compression],
  ];
  if (fileHash !== undefined) lines.push(['FileHash', formatHash(fileHash, 'base32')]);
  if (fileSize !== undefined) lines.push(['FileSize', String(fileSize)]);
  lines.push(['NarHash', formatHash(narinfo.narHash, 'base32')], ['NarSize', String(narinfo.narSize)]);
  lines.push(['References', narinfo.references.map(({ base }) => base).join(' ')]);
  if (deriver !== undefined) lines.push(['Deriver', deriver]);
  for (const signature of narinfo.signatures) lines.push(['Sig', printSignature(signature)]);
  if (ca !== undefined) lines.push(['CA', ca]);
  return [...lines, ...narinfo.extra].map(printLine).join('');
}

/** The hash parts of what the path refers to, itself included where it does. */
export function referencesOf({ references }: Signable): HashPart[] {
  return references.map(({ hashPart }) => hashPart);
}

interface Lines {
  readonly fields: ReadonlyMap<string, string>;
  readonly signatures: readonly string[];
  readonly extra: readonly (readonly [key: string, value: string])[];
}

const singleFields: ReadonlySet<string> = new Set([
  'StorePath',
  'URL',
  'Compression',
  'FileHash',
  'FileSize',
  'NarHash',
  'NarSize',
  'References',
  'Deriver',
  'CA',
]);

function readLines(text: string): Lines {
  if (Buffer.byteLength(text) > maxNarinfoBytes) throw corrupt(`it is longer than ${maxNarinfoBytes} bytes`);
  const lines = text.split('\n', maxLines + 1).map((line) => line.trim());
  if (lines.length > maxLines) throw corrupt(`it has more than ${maxLines} lines`);
  const fields = new Map<string, string>();
  const signatures = new Set<string>();
  const extra: [string, string][] = [];
  for (const line of lines.filter((line) => line !== '')) {
    const [key, value] = readLine(line);
    if (key === 'Sig') signatures.add(value);
    else if (!singleFields.has(key)) extra.push([key, value]);
    else if ((key === 'References' || key === 'CA') && fields.get(key)) throw corrupt(`${key} is repeated`);
    else fields.set(key, value);
  }
  return { fields, signatures: [...signatures].slice(0, maxSignatures), extra };
}

function readLine(line: string): [key: string, value: string] {
  const colon = line.indexOf(':');
  const key = line.slice(0, Math.max(colon, 0));
  if (!/^[!-~]+$/.test(key) || hasControlCharacter(line)) throw corrupt(`${quote(line)} is not 'Key: value'`);
  return [key, line.slice(colon + 1).trim()];
}

function printLine([key, value]: readonly [key: string, value: string]): string {
  if (hasControlCharacter(value)) throw corrupt(`the value ${quote(value)} of ${key} would break its line`);
  return `${key}: ${value}\n`;
}

function hasControlCharacter(text: string): boolean {
  return /[^\P{Cc}\t]/u.test(text);
}

function needed(fields: ReadonlyMap<string, string>, key: string): string {
  const value = fields.get(key);
  if (!value) throw corrupt(`${key} is missing`);
  return value;
}

/** What `parse` makes of the text; undefined when it is absent or malformed. */
function optional<T>(text: string | undefined, parse: (text: string) => T): T | undefined {
  if (text === undefined) return undefined;
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function parseUrl(text: string): string {
  if (!isNarUrl(text)) throw corrupt(`its URL ${quote(text)} is not a short path below the cache`);
  return text;
}

function parseCompressionField(text = ''): Compression {
  const compression = parseCompression(text === '' ? 'bzip2' : text);
  if (compression === undefined) throw corrupt(`its Compression ${quote(text)} is unknown`);
  return compression;
}

/** The only algorithm that Nix uses for NARs and their files. */
function parseSha256(text: string): Hash {
  const hash = parseHash(text);
  if (hash.algorithm !== 'sha256') throw corrupt(`its hash ${quote(text)} is not a sha256`);
  return hash;
}

function parseSize(text: string): number {
  const size = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (size === 0 || !Number.isSafeInteger(size))
    throw corrupt(`its size ${quote(text)} is not a number above 0`);
  return size;
}

function parseReferences(text = ''): StorePath[] {
  const bases = text.split(/[ \t]+/).filter((base) => base !== '');
  return [...new Set(bases)].map(parseStoreBase);
}

function corrupt(reason: string): FormatError {
  return new FormatError('bad-narinfo', `The narinfo is not valid: ${reason}.`);
}
