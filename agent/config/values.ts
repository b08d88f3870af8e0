import { posix } from 'node:path';
import * as v from 'valibot';
import { parseDuration, parseSize, printDuration, printSize } from './units.ts';

// Every message says what is expected, to stand after 'expected'. Pipes end at their first problem.

const maxLength = 2048;
const maxItems = 64;

/** An absolute path in its plainest form. */
export function absolutePath() {
  const expected = 'an absolute path without "..", "//", a final "/" or control characters';
  return v.pipe(text(expected), v.check(isPlainPath, expected));
}

/** An absolute path, or undefined for the empty text. */
export function optionalPath() {
  const expected = 'an absolute path, or "" for none';
  return v.pipe(
    text(expected),
    v.check((path) => path === '' || isPlainPath(path), expected),
    v.transform((path) => (path === '' ? undefined : path)),
  );
}

/** A duration in ms between the bounds, which are in ms too; `0` counts when the lower bound is 0. */
export function duration(min: number, max: number) {
  const examples = min === 0 ? '"14d" or "12h", or "0"' : '"5s" or "150ms"';
  return parsed(
    within(min, max, parseDuration),
    `a duration from ${printDuration(min)} to ${printDuration(max)} in quotes, such as ${examples}`,
  );
}

/** A size in bytes up to the bound. */
export function size(max: number) {
  return parsed(
    within(0, max, parseSize),
    `a size up to ${printSize(max)} in quotes, such as "20GiB" or "512MiB", or "0"`,
  );
}

/** One of a few words. */
export function oneOf<const Word extends string>(words: readonly Word[]) {
  return v.picklist(words, `one of ${words.map((word) => `"${word}"`).join(', ')}`);
}

/** `true` or `false`. */
export function flag() {
  return v.boolean('true or false');
}

/** A whole number within bounds. */
export function wholeNumber(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  return v.pipe(
    v.number(expected),
    v.check((value) => Number.isInteger(value) && value >= min && value <= max, expected),
  );
}

/** A list of at most 64 items. */
export function list<Item extends v.GenericSchema>(item: Item, expected: string) {
  return v.pipe(v.array(item, expected), v.maxLength(maxItems, `at most ${maxItems} of them`));
}

/** Text that `parse` makes a value of; it says undefined to refuse. */
export function parsed<Value>(parse: (text: string) => Value | undefined, expected: string) {
  return v.pipe(
    text(expected),
    v.rawTransform(({ dataset, addIssue, NEVER }): Value => {
      const value = parse(dataset.value);
      if (value !== undefined) return value;
      addIssue({ message: expected });
      return NEVER;
    }),
  );
}

/** Text of at most 2,048 characters. */
export function text(expected: string) {
  return v.pipe(v.string(expected), v.maxLength(maxLength, `at most ${maxLength} characters`));
}

function isPlainPath(path: string): boolean {
  return /^\/[^\p{Cc}]*[^\p{Cc}/]$/u.test(path) && posix.normalize(path) === path;
}

function within(min: number, max: number, parse: (text: string) => number | undefined) {
  return (text: string): number | undefined => {
    const value = parse(text);
    return value !== undefined && value >= min && value <= max ? value : undefined;
  };
}
