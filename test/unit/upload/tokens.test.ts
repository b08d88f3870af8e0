import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseTokenFile } from '../../../agent/upload/token-file.ts';
import { Tokens } from '../../../agent/upload/tokens.ts';
import { temporaryDirectory } from '../cache/support/temporary.ts';

const hex = (text: string) => createHash('sha256').update(text).digest('hex');
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

async function tokensOf(text: string) {
  const file = join(await temporaryDirectory(), 'tokens');
  await writeFile(file, text);
  const warnings: [object, string][] = [];
  const warn = (fields: object, message: string) => warnings.push([fields, message]);
  return { file, warnings, tokens: new Tokens(file, { warn }) };
}

test('a line is a name and a token, in clear or as its sha256, and the keys that may be used', async () => {
  const { tokens, warnings } = await tokensOf(
    `# who may upload\n\nbuilder:s3cret:with:colons\n  ci:sha256:${hex('other')}  key-1   key-2\r\n`,
  );
  expect(await tokens.uploader(basic('builder:s3cret:with:colons'))).toEqual({
    name: 'builder',
    keys: undefined,
  });
  expect(await tokens.uploader(basic('ci:other'))).toEqual({ name: 'ci', keys: new Set(['key-1', 'key-2']) });
  expect(warnings).toEqual([]);
});

test.for([
  undefined,
  '',
  'Basic',
  'Basic !!!',
  'Bearer s3cret',
  basic('builder'),
  basic('builder:'),
  basic('builder:wrong'),
  basic('ci:s3cret'),
  basic(':s3cret'),
  basic(`builder:${hex('s3cret')}`),
  basic(`builder:sha256:${hex('s3cret')}`),
  basic(`builder:${'x'.repeat(10_000)}`),
])('%s lets nobody in', async (authorization) => {
  const { tokens } = await tokensOf(`builder:s3cret\nci:other\n`);
  expect(await tokens.uploader(authorization)).toBeUndefined();
});

test('two tokens of one name both count, so that one can replace the other', async () => {
  const { tokens } = await tokensOf('builder:old\nbuilder:new\n');
  expect(await tokens.uploader(basic('builder:old'))).toBeDefined();
  expect(await tokens.uploader(basic('builder:new'))).toBeDefined();
});

test('the file is read again when it has changed, and lets nobody in while it cannot be read', async () => {
  const { file, tokens, warnings } = await tokensOf('builder:old\n');
  expect(await tokens.uploader(basic('builder:old'))).toBeDefined();
  await writeFile(file, 'builder:new\n');
  expect(await tokens.uploader(basic('builder:old'))).toBeUndefined();
  expect(await tokens.uploader(basic('builder:new'))).toBeDefined();
  await rm(file);
  expect(await tokens.uploader(basic('builder:new'))).toBeUndefined();
  expect(await tokens.uploader(basic('builder:new'))).toBeUndefined();
  expect(warnings).toHaveLength(1);
  await writeFile(file, 'builder:new\n');
  expect(await tokens.uploader(basic('builder:new'))).toBeDefined();
});

test('a line that is none is told by its number, never by what it says', async () => {
  const { tokens, warnings } = await tokensOf(
    'builder:s3cret\nonly-a-hidden-word\nci:sha256:hidden\nci:t hidden:key\n',
  );
  expect(await tokens.uploader(basic('builder:s3cret'))).toBeDefined();
  expect(warnings).toMatchObject([[{ lines: [2, 3, 4] }, expect.stringContaining('not NAME:TOKEN')]]);
  expect(JSON.stringify(warnings)).not.toContain('hidden');
});

test('lines beyond the thousandth are broken', () => {
  const text = Array.from({ length: 1_002 }, (_, n) => `name-${n}:token`).join('\n');
  const { lines, broken } = parseTokenFile(text);
  expect([lines.length, broken]).toEqual([1_000, [1_001, 1_002]]);
});
