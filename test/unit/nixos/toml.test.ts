import fc from 'fast-check';
import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import { asNix, evaluate, nixos } from './evaluate.ts';

// Nix has no text with NUL in it, and no use for lone surrogates, which are not UTF-8.
const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map((it) => it.replaceAll(/[\0\x7f]/g, '~'));
const scalar = fc.oneof(text, fc.integer(), fc.boolean());
const name = fc.oneof(fc.stringMatching(/^[a-z][a-z-]{0,8}$/), text);
const tableOf = (value: fc.Arbitrary<unknown>) =>
  fc.dictionary(name, value, { maxKeys: 4, noNullPrototype: true });
const item = fc.oneof(scalar, tableOf(scalar), fc.array(scalar, { maxLength: 3 }));
const document = tableOf(
  fc.oneof(scalar, fc.array(item, { maxLength: 4 }), tableOf(fc.oneof(item, tableOf(item)))),
);

test('what nixos/toml.nix prints of any attribute set, a TOML parser reads as the same', async () => {
  // Many at a time, because starting Nix is what takes long.
  const documents = fc.array(document, { minLength: 50, maxLength: 100 });
  await fc.assert(
    fc.asyncProperty(documents, async (given) => {
      const printed: string[] = await evaluate(`map (import ${nixos}/toml.nix) ${asNix(given)}`);
      expect(printed.map((toml) => parse(toml))).toEqual(given);
    }),
    { numRuns: 4, interruptAfterTimeLimit: 20_000 },
  );
});

test('it prints what people would write', async () => {
  const table = {
    listen: 'localhost:6270',
    n: 3,
    cache: { 'max-size': '20GiB', on: true },
    list: ['a', 'b"'],
  };
  expect(await evaluate(`import ${nixos}/toml.nix ${asNix(table)}`)).toBe(
    'list = ["a", "b\\""]\nlisten = "localhost:6270"\nn = 3\n[cache]\nmax-size = "20GiB"\non = true\n',
  );
});
