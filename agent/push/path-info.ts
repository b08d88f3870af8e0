import * as v from 'valibot';
import { FormatError, quote } from '../nix/error.ts';
import { type Hash, parseHash } from '../nix/hash.ts';
import { parseSignature, type Signature } from '../nix/signature.ts';
import { parseStorePath, type StorePath } from '../nix/store-path.ts';

/** What the database of the local store says of a path. */
export interface PathInfo {
  readonly storePath: StorePath;
  readonly narHash: Hash;
  /** Bytes. */
  readonly narSize: number;
  readonly references: readonly StorePath[];
  /** `<hash>-<name>` of the derivation. */
  readonly deriver?: string;
  readonly signatures: readonly Signature[];
  /** The content address as a narinfo has it. */
  readonly ca?: string;
}

const entry = v.object({
  narHash: v.string(),
  narSize: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  references: v.array(v.string()),
  deriver: v.nullish(v.string()),
  signatures: v.nullish(v.array(v.string())),
  ca: v.nullish(v.string()),
});
type Entry = v.InferOutput<typeof entry>;

/** A path that is not valid is an entry without anything up to 2.18, and null from 2.19 on. */
const asList = v.array(
  v.union([v.object({ path: v.string(), ...entry.entries }), v.object({ path: v.string() })]),
);
const asTable = v.record(v.string(), v.nullable(entry));

/**
 * The answer of `nix path-info --json`: up to Nix 2.18 a list, from 2.19 on a table by path, which is JSON format 1 of Nix 2.34
 * (src/nix/path-info.cc).
 * @throws FormatError for anything else, and for a path that is not valid, by its name
 */
export function parsePathInfos(text: string, storeDir: string): PathInfo[] {
  return [...entries(text)].map(([path, found]) => {
    if (found === undefined)
      throw new FormatError('no-such-path', `The path ${quote(path)} is not in the store of this machine.`);
    return pathInfo(path, found, storeDir);
  });
}

function* entries(text: string): Generator<[path: string, entry: Entry | undefined]> {
  const json = parsedJson(text);
  const table = v.safeParse(asTable, json);
  if (table.success && !Array.isArray(json)) {
    for (const [path, found] of Object.entries(table.output)) yield [path, found ?? undefined];
    return;
  }
  const list = v.safeParse(asList, json);
  if (!list.success)
    throw new FormatError('bad-path-info', `Nix describes store paths in an unknown form: ${quote(text)}.`);
  for (const found of list.output) yield [found.path, 'narHash' in found ? found : undefined];
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pathInfo(path: string, found: Entry, storeDir: string): PathInfo {
  const { deriver, ca } = found;
  return {
    storePath: parseStorePath(path, storeDir),
    narHash: parseHash(found.narHash, 'sha256'),
    narSize: found.narSize,
    references: found.references.map((reference) => parseStorePath(reference, storeDir)),
    // Some Nix write `unknown-deriver`, which is none.
    ...(deriver?.startsWith(`${storeDir}/`) && { deriver: parseStorePath(deriver, storeDir).base }),
    signatures: (found.signatures ?? []).map(parseSignature),
    ...(ca && { ca }),
  };
}

/** The paths so that each comes after all that it refers to. */
export function referencesFirst(infos: readonly PathInfo[]): PathInfo[] {
  const byBase = new Map(infos.map((info) => [info.storePath.base, info]));
  const sorted = new Set<PathInfo>();
  const begun = new Set<PathInfo>();
  // Not recursive: a chain of references may be longer than the stack.
  const stack = [...infos].reverse();
  for (let info = stack.pop(); info !== undefined; info = stack.pop()) {
    if (begun.has(info)) {
      sorted.add(info);
      continue;
    }
    begun.add(info);
    stack.push(info);
    for (const { base } of info.references) {
      const reference = byBase.get(base);
      if (reference !== undefined && !begun.has(reference)) stack.push(reference);
    }
  }
  return [...sorted];
}
