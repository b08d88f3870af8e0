import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { expect, test } from 'vitest';
import { knownKeys } from '../../../agent/config/known-keys.ts';
import { tables, topKeys } from '../../../agent/config/schema.ts';

/** A picklist's words, by the key's name. */
const words = new Map(
  Object.entries({ '': topKeys, ...tables }).flatMap(([table, keys]) =>
    Object.entries(keys).flatMap(([key, { wrapped }]) =>
      'options' in wrapped ? [[table === '' ? key : `${table}.${key}`, wrapped.options] as const] : [],
    ),
  ),
);

// The schema is where keys are born. After it has changed: npx vitest run test/unit/nixos/settings.test.ts --update
test('nixos/settings.toml, of which the module makes its options, has every key of the configuration', async () => {
  const keys = [...knownKeys.values()].map(({ name, kind, fallback, meaning }) => ({
    name,
    type: words.get(name) ?? kind,
    default: fallback,
    description: meaning,
  }));
  expect(keys.flatMap(({ type }) => type)).not.toContain('picklist');
  await expect(stringify({ key: keys })).toMatchFileSnapshot(
    join(import.meta.dirname, '../../../nixos/settings.toml'),
  );
});
