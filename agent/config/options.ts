import { isTable, type Table } from './key.ts';
import { knownKeys } from './known-keys.ts';

/** `--option KEY VALUE` of the command line: the key with its table, the value as text. */
export type Option = readonly [key: string, value: string];

/**
 * The document with the options laid over it, each as if it had been written there. As with Nix, lists are separated
 * by spaces and the last of several for the same key counts. A key that is not known stays as it is, to be refused.
 */
export function withOptions(document: Table, options: readonly Option[]): Table {
  return options.reduce((all, [key, value]) => {
    const path = knownKeys.has(key) ? key.split('.') : [key];
    return withValue(all, path, fromText(key, value));
  }, document);
}

function withValue(document: Table, [first = '', ...rest]: readonly string[], value: unknown): Table {
  if (rest.length === 0) return { ...document, [first]: value };
  const inner = Object.hasOwn(document, first) ? document[first] : {};
  return { ...document, [first]: withValue(isTable(inner) ? inner : {}, rest, value) };
}

function fromText(key: string, value: string): unknown {
  const kind = knownKeys.get(key)?.kind;
  if (kind === 'array') return value.split(/\s+/).filter((word) => word !== '');
  if (kind === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}
