import { timingSafeEqual } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { CacheLog } from '../cache/log.ts';
import { digestOf, parseTokenFile, type TokenLine, type Uploader } from './token-file.ts';

const maxBytes = 1024 * 1024;
const longestCredentials = 4096;

/** Knows uploaders by the tokens file, which is read again when it changes. A file that cannot be read lets nobody in. */
export class Tokens {
  readonly #file: string;
  readonly #log: Pick<CacheLog, 'warn'>;
  #lines: readonly TokenLine[] = [];
  /** Which state of the file the lines are from. */
  #read: string | undefined;
  #reading: Promise<void> | undefined;

  constructor(file: string, log: Pick<CacheLog, 'warn'>) {
    this.#file = file;
    this.#log = log;
  }

  /** Who sent an Authorization header; undefined when that is nobody whom the file names. Takes the same time for every wrong one. */
  async uploader(authorization: string | undefined): Promise<Uploader | undefined> {
    const credentials = basicCredentials(authorization);
    if (credentials === undefined) return undefined;
    this.#reading ??= this.#refresh().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
    const name = digestOf(credentials.name);
    const token = digestOf(credentials.password);
    let found: Uploader | undefined;
    for (const line of this.#lines) {
      const isName = timingSafeEqual(line.name, name);
      const isToken = timingSafeEqual(line.token, token);
      if (isName && isToken) found = line.uploader;
    }
    return found;
  }

  async #refresh(): Promise<void> {
    try {
      await this.#readIfChanged();
    } catch (err) {
      this.#lines = [];
      const state = `unreadable: ${err instanceof Error && 'code' in err ? err.code : 'other'}`;
      if (this.#read !== state) this.#log.warn({ err }, 'the tokens file cannot be read: nobody may upload');
      this.#read = state;
    }
  }

  async #readIfChanged(): Promise<void> {
    await using file = await open(this.#file, 'r');
    const { mtimeNs, ctimeNs, ino, size } = await file.stat({ bigint: true });
    const state = [mtimeNs, ctimeNs, ino, size].join(' ');
    if (state === this.#read) return;
    if (size > maxBytes) throw new RangeError(`it is larger than ${maxBytes} bytes`);
    const { lines, broken } = parseTokenFile(await file.readFile('utf8'));
    this.#lines = lines;
    this.#read = state;
    if (broken.length > 0)
      this.#log.warn(
        { file: this.#file, lines: broken },
        'lines of the tokens file are not NAME:TOKEN and are passed over',
      );
  }
}

/** RFC 7617. */
function basicCredentials(header = ''): { name: string; password: string } | undefined {
  if (header.length > longestCredentials) return undefined;
  const [, encoded = ''] = /^basic +([0-9a-z+/]+={0,2})$/i.exec(header) ?? [];
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
