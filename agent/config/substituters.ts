import * as v from 'valibot';
import { list, parsed } from './values.ts';

/** A cache to fetch from. */
export interface SubstituterUrl {
  /** http, https or file, without user, query and fragment; its path ends in `/`, so that names resolve beneath it. */
  readonly url: URL;
  /** From `?priority=N`: lower is asked first, and it overrides the cache's own. */
  readonly priority?: number;
}

/** Substituters in the operator's order, each once. */
export function substituters() {
  return v.pipe(
    list(substituter(), 'a list of URLs'),
    v.transform((all): readonly SubstituterUrl[] => all.filter(isFirstOfItsUrl)),
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
