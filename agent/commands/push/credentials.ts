import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { NarrowcastError } from '../../nix/error.ts';
import { unbracketed } from '../../source/address.ts';
import { type Credentials, parseNetrc } from '../../source/netrc.ts';

const maxBytes = 1024 * 1024;

/**
 * Login and password for a server: from the file that is named, else from `~/.netrc` or Nix's own `/etc/nix/netrc`, the first that
 * has some.
 * @throws NarrowcastError `netrc-unreadable` when the named file cannot be read, or another has no right form
 */
export async function credentialsFor(url: URL, named: string | undefined): Promise<Credentials | undefined> {
  const home = process.env['HOME'] || homedir();
  const files = named === undefined ? [join(home, '.netrc'), '/etc/nix/netrc'] : [named];
  for (const file of files) {
    const found = parseNetrc(await textOf(file, named !== undefined))(unbracketed(url.hostname));
    if (found !== undefined) return found;
  }
  return undefined;
}

async function textOf(file: string, needed: boolean): Promise<string> {
  try {
    const text = await readFile(file, 'utf8');
    if (text.length > maxBytes) throw new RangeError(`it is larger than ${maxBytes} bytes`);
    return text;
  } catch (cause) {
    if (!needed) return '';
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NarrowcastError('netrc-unreadable', `The netrc file ${file} cannot be read: ${reason}`, {
      cause,
    });
  }
}
