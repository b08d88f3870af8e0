import { isIPv4 } from 'node:net';
import { posix } from 'node:path';
import * as v from 'valibot';
import { type PublicKey, parsePublicKey } from '../nix/signature.ts';
import { parseDuration, parseSize, printDuration, printSize } from './units.ts';

// Every message says what is expected, to stand after 'expected'. Pipes end at their first problem.

const maxLength = 2048;
const maxItems = 64;

/** A place to listen at that only this machine can reach. */
export interface ListenAddress {
  /** As people write it, for URLs: `localhost`, `127.0.0.1` or `[::1]`. */
  readonly host: string;
  /** What to bind: both loopback addresses for `localhost`, of which a machine without IPv6 has only one. */
  readonly addresses: readonly string[];
  /** 0 lets the system choose. */
  readonly port: number;
}

/** A cache to fetch from. */
export interface SubstituterUrl {
  /** http, https or file, without user, query and fragment; its path ends in `/`, so that names resolve beneath it. */
  readonly url: URL;
  /** From `?priority=N`: lower is asked first, and it overrides the cache's own. */
  readonly priority?: number;
}

/** `host:port` with a loopback host. */
export function listenAddress() {
  return parsed(
    parseListen,
    'a loopback host and a port from 0 to 65535, such as "localhost:6270", "127.0.0.1:6270" or "[::1]:6270"',
  );
}

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

/** Substituters in the operator's order, each once. */
export function substituters() {
  return v.pipe(
    list(substituter(), 'a list of URLs'),
    v.transform((all): readonly SubstituterUrl[] => all.filter(isFirstOfItsUrl)),
  );
}

/** Public keys by name. */
export function publicKeys() {
  return v.pipe(
    list(publicKey(), 'a list of public keys'),
    v.check((keys) => haveNamesOfTheirOwn(keys), 'a list in which different keys have different names'),
    v.transform((keys): ReadonlyMap<string, PublicKey> => new Map(keys.map((one) => [one.name, one]))),
  );
}

function substituter() {
  const expected = 'an http, https or file URL, such as "https://cache.nixos.org" or "file:///mnt/usb"';
  return v.pipe(
    parsed((text) => URL.parse(text) ?? undefined, expected),
    v.check(({ protocol }) => ['http:', 'https:', 'file:'].includes(protocol), expected),
    v.check(
      ({ username, password }) => username === '' && password === '',
      'a URL without user and password: they belong into netrc-file',
    ),
    v.check(
      ({ protocol, host }) => protocol !== 'file:' || host === '',
      'a file URL with three slashes, such as "file:///mnt/usb"',
    ),
    v.check(
      ({ hash, searchParams }) =>
        hash === '' && [...searchParams.keys()].every((name) => name === 'priority'),
      'a URL with no parameter but ?priority=N',
    ),
    v.check(
      ({ searchParams }) => searchParams.getAll('priority').every((n) => /^\d{1,9}$/.test(n)),
      'a whole number as priority, such as "https://cache.nixos.org?priority=40"',
    ),
    v.transform(withoutPriority),
  );
}

function withoutPriority(given: URL): SubstituterUrl {
  const url = new URL(given);
  url.search = '';
  url.pathname = url.pathname.replace(/\/*$/, '/');
  const priority = given.searchParams.get('priority');
  return priority === null ? { url } : { url, priority: Number(priority) };
}

function isFirstOfItsUrl(one: SubstituterUrl, index: number, all: readonly SubstituterUrl[]): boolean {
  return all.findIndex(({ url }) => url.href === one.url.href) === index;
}

function publicKey() {
  return parsed((text) => {
    try {
      return parsePublicKey(text);
    } catch {
      return undefined;
    }
  }, 'a public key as name:base64, such as "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="');
}

function haveNamesOfTheirOwn(keys: readonly PublicKey[]): boolean {
  return keys.every(({ name, key }) => keys.every((other) => other.name !== name || other.key.equals(key)));
}

function parseListen(text: string): ListenAddress | undefined {
  const [, host, digits] = /^(localhost|127[\d.]+|\[::1\]):(0|[1-9]\d{0,4})$/.exec(text) ?? [];
  const port = Number(digits);
  if (host === undefined || port > 65535) return undefined;
  if (host === 'localhost') return { host, addresses: ['127.0.0.1', '::1'], port };
  if (host === '[::1]') return { host, addresses: ['::1'], port };
  return isIPv4(host) ? { host, addresses: [host], port } : undefined;
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

function text(expected: string) {
  return v.pipe(v.string(expected), v.maxLength(maxLength, `at most ${maxLength} characters`));
}

function list<Item extends v.GenericSchema>(item: Item, expected: string) {
  return v.pipe(v.array(item, expected), v.maxLength(maxItems, `at most ${maxItems} of them`));
}

function parsed<Value>(parse: (text: string) => Value | undefined, expected: string) {
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
