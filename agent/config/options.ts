import { isTable, type Table } from './key.ts';
import { type KnownKey, knownKeys } from './known-keys.ts';

/** `--option KEY VALUE` of the command line: the key with its table, the value as text. */
export type Option = readonly [key: string, value: string];

/**
 * The document with the options laid over it, each as if it had been written there. As with Nix, lists are separated
 * by spaces and the last of several for the same key counts. A key that is not known stays as it is, to be refused.
 */
export function withOptions(
  document: Table,
  options: readonly Option[],
  keys: ReadonlyMap<string, Pick<KnownKey, 'kind'>> = knownKeys,
): Table {
  return options.reduce((all, [key, text]) => {
    const kind = keys.get(key)?.kind;
    return withValue(all, kind === undefined ? [key] : key.split('.'), fromText(text, kind));
  }, document);
}

function withValue(document: Table, [first = '', ...rest]: readonly string[], value: unknown): Table {
  if (rest.length === 0) return { ...document, [first]: value };
  const inner = document[first];
  return { ...document, [first]: withValue(isTable(inner) ? inner : {}, rest, value) };
}

function fromText(text: string, kind: string | undefined): unknown {
  if (kind === 'array') return text.split(/\s+/).filter((word) => word !== '');
  if (kind === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if (kind === 'number' && /^\d{1,15}$/.test(text)) return Number(text);
  return text;
}
