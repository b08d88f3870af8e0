const maxUrlLength = 1024;

/**
 * Whether a narinfo's URL stays below its cache: relative (no scheme, no leading slash), without `..` segments
 * (in the query neither), without backslashes, spaces and control characters, all of that also
 * percent-encoded, and at most 1024 characters long. A query is allowed: harmonia writes `nar/x.nar?hash=y`.
 */
export function isNarUrl(text: string): boolean {
  if (text.length > maxUrlLength) return false;
  const plain = percentDecoded(text);
  return plain !== undefined && staysBelow(plain);
}

function staysBelow(url: string): boolean {
  return (
    /^(?![/?#]|[a-z][a-z0-9+.-]*:)[^\\\s\p{Cc}]+$/iu.test(url) &&
    !url.split(/[/?#]/).some((segment) => segment === '..')
  );
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
