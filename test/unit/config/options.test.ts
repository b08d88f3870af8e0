import { expect, test } from 'vitest';
import { withOptions } from '../../../agent/config/options.ts';

const keys = new Map(
  Object.entries({
    name: 'string',
    words: 'array',
    flag: 'boolean',
    'table.name': 'string',
    'table.flag': 'boolean',
  }).map(([name, kind]) => [name, { kind }]),
);

test.each([
  [[['name', 'a b']], { name: 'a b' }],
  [[['words', ' a  b\tc ']], { words: ['a', 'b', 'c'] }],
  [[['words', '']], { words: [] }],
  [[['flag', 'true']], { flag: true }],
  [[['flag', 'false']], { flag: false }],
  [[['flag', 'yes']], { flag: 'yes' }],
  [
    [
      ['name', 'a'],
      ['name', 'b'],
    ],
    { name: 'b' },
  ],
  [
    [
      ['table.name', 'a'],
      ['table.flag', 'true'],
    ],
    { table: { name: 'a', flag: true } },
  ],
  [[['table', 'a']], { table: 'a' }],
  [[['table.other', 'a']], { 'table.other': 'a' }],
  [[['name.other', 'a']], { 'name.other': 'a' }],
] as const)('%j', (options, document) => {
  expect(withOptions({}, options, keys)).toEqual(document);
});

test('what no option names stays', () => {
  const document = { name: 'a', flag: false, table: { name: 'b', flag: false } };
  expect(withOptions(document, [['table.flag', 'true']], keys)).toEqual({
    ...document,
    table: { name: 'b', flag: true },
  });
  expect(document.table.flag).toBe(false);
});
