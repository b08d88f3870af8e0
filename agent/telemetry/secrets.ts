const hidden = '[hidden]';

/**
 * A URL as it may be shown: without user, password, query and fragment, for all of these can hold secrets.
 * From text that is no URL, the same parts are cut as generously as they could be meant.
 */
export function safeUrl(url: URL | string): string {
  const text = String(url);
  const parsed = URL.parse(text);
  if (parsed !== null) return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
  return hideSecrets(text.replace(/:\/\/.*@/s, '://').replace(/[?#].*/s, ''));
}

/**
 * Text with everything taken out that looks like a secret: user and password in URLs, what follows the `?` of one,
 * credentials of HTTP headers, values of fields named as secrets are, and base64 of 64 bytes (a secret key of Nix;
 * signatures have the same form and go with it). Works on JSON and leaves it valid.
 */
export function hideSecrets(text: string): string {
  return text
    .replace(/:\/\/(?:\\.|[^\s"\\])+/g, withoutUserAndQuery)
    .replace(
      /("[\w.-]{0,60}(?:authorization|cookie|password|secret|token)s?(?:-?key)?"\s*[:,]\s*)"(?:\\.|[^"\\])*"/gi,
      `$1"${hidden}"`,
    )
    .replace(/\b(Basic|Bearer) [\w+/=.~-]+/g, `$1 ${hidden}`)
    .replace(/[A-Za-z0-9+/]{86}==/g, hidden);
}

function withoutUserAndQuery(url: string): string {
  return url.replace(/:\/\/[^/]*@/g, '://').replace(/[?#].*/s, '');
}
