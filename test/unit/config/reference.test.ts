import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadConfig } from '../../../agent/config/load.ts';
import { markdownTable, plainText, reference } from '../../../agent/config/reference.ts';
import { scratch, scratchFile } from './scratch.ts';

const [begin, end] = ['<!-- config:begin -->', '<!-- config:end -->'];
const readmeFile = new URL('../../../README.md', import.meta.url);
const readme = existsSync(readmeFile) ? readFileSync(readmeFile, 'utf8') : '';

test('every key has a default and a meaning of one line', () => {
  for (const { key, fallback, meaning } of reference) {
    expect(key).toMatch(/^[a-z.-]+$/);
    expect(fallback).not.toBe('');
    expect(meaning).toMatch(/^[A-Z][^\n|]{10,}$/);
  }
});

test('a file with every default as it is printed changes nothing', async () => {
  const none = { env: {}, systemFile: scratch('absent.toml'), root: true };
  const file = scratchFile(reference.map(({ key, fallback }) => `${key} = ${fallback}`).join('\n'));
  expect(reference.length).toBeGreaterThan(10);
  expect(await loadConfig({ ...none, file })).toEqual(await loadConfig(none));
});

test('the plain text is the Markdown without its marks', () => {
  for (const { key, fallback, meaning } of reference) {
    expect(markdownTable()).toContain(`| \`${key}\` | \`${fallback}\` | ${meaning} |`);
    expect(plainText()).toContain(`  ${key} = ${fallback}\n      ${meaning.replaceAll('`', '')}`);
  }
});

test('the table in README.md is this one', () => {
  const between = readme.slice(readme.indexOf(begin) + begin.length, readme.indexOf(end));
  expect(between.trim()).toBe(markdownTable());
});
