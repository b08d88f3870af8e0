/** What a netrc file says about one machine. */
export interface Credentials {
  readonly login: string;
  readonly password: string;
}

/** Looks up the credentials for a host; undefined when there are none. */
export type Netrc = (host: string) => Credentials | undefined;

/**
 * Reads the text of a netrc file (the format of curl and Nix's `netrc-file`): machine, default, login, password,
 * account; `macdef` blocks and comments are skipped, values may be quoted. Unknown words are passed over, as curl does.
 */
export function parseNetrc(text: string): Netrc {
  const machines = new Map<string, Credentials>();
  let fallback: Credentials | undefined;
  const words = tokens(text);
  for (let i = 0; i < words.length; ) {
    const word = words[i++];
    if (word !== 'machine' && word !== 'default') continue;
    const host = word === 'machine' ? words[i++] : undefined;
    let login = '';
    let password = '';
    while (i < words.length && words[i] !== 'machine' && words[i] !== 'default') {
      const key = words[i++];
      if (key === 'login') login = words[i++] ?? '';
      else if (key === 'password') password = words[i++] ?? '';
      else if (key === 'account') i++;
    }
    if (word === 'default') fallback ??= { login, password };
    else if (host !== undefined && !machines.has(host)) machines.set(host, { login, password });
  }
  return (host) => machines.get(host) ?? fallback;
}

function tokens(text: string): string[] {
  const withoutMacros = text.replace(/^[ \t]*macdef[^\n]*\n(?:[^\n]+\n?)*/gm, '');
  const words: string[] = [];
  for (const line of withoutMacros.split('\n')) {
    for (const [word, quoted] of line.matchAll(/"((?:[^"\\]|\\.)*)"|\S+/g)) {
      if (quoted === undefined && word.startsWith('#')) break;
      words.push(quoted === undefined ? word : quoted.replace(/\\(.)/g, '$1'));
    }
  }
  return words;
}
