import * as v from 'valibot';

/**
 * One key of the configuration: what its value must be, the default as TOML would have it, and its one-line meaning,
 * from which README's table and `--help` are made.
 */
export function key<const Value extends v.GenericSchema>(
  value: Value,
  fallback: v.InferInput<Value>,
  meaning: string,
) {
  return v.pipe(
    v.optional(value, () => fallback),
    v.description(meaning),
  );
}

/** A table of such keys. */
export function table<const Keys extends v.ObjectEntries>(keys: Keys) {
  return v.pipe(v.custom<Table>(isTable, 'a table'), v.object(keys));
}

/** A TOML table as it was parsed, before anything in it has been checked. */
export type Table = Readonly<Record<string, unknown>>;

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
