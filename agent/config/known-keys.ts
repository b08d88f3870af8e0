import * as v from 'valibot';
import { tables, topKeys } from './schema.ts';

/** A key as the operator writes it, apart from the checking of its value. */
export interface KnownKey {
  /** With its table: `cache.dir`. */
  readonly name: string;
  /** The form of its value in TOML: `string`, `array`, `boolean`, `number` or `picklist`. */
  readonly kind: string;
  /** As TOML would have it. */
  readonly fallback: unknown;
  /** One line of Markdown. */
  readonly meaning: string;
}

/** Every key by its name with its table, in the order of the schema. */
export const knownKeys: ReadonlyMap<string, KnownKey> = new Map([
  ...describeAll('', topKeys),
  ...Object.entries(tables).flatMap(([table, keys]) => describeAll(`${table}.`, keys)),
]);

type Keys = typeof topKeys | (typeof tables)[keyof typeof tables];

function describeAll(prefix: string, keys: Keys): [string, KnownKey][] {
  return Object.entries(keys).map(([key, schema]) => {
    const name = `${prefix}${key}`;
    const meaning = v.getDescription(schema) ?? '';
    return [name, { name, kind: schema.wrapped.type, fallback: v.getDefault(schema), meaning }];
  });
}
