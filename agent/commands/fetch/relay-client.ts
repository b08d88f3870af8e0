import { type Dispatcher, errors, Pool } from 'undici';
import { parseCacheInfo } from '../../nix/cache-info.ts';
import { FormatError, NarrowcastError } from '../../nix/error.ts';
import { maxNarinfoBytes, type Narinfo, parseNarinfo } from '../../nix/narinfo.ts';
import type { HashPart } from '../../nix/store-path.ts';

/** What could not be had through the relay. Codes: `relay-gone`, `relay-foreign` (not a relay of this store), `nar-missing`, `nar-cut`. */
export class RelayError extends NarrowcastError {}

/** As long as Nix waits (its stalled-download-timeout), in ms. */
const silence = 300_000;
/** What runs on this machine says who it is within this time, in ms. */
const greeting = 10_000;
const maxConnections = 64;

/** A client of the local face, as Nix is one. Everything throws RelayError `relay-gone` when nobody answers. */
export class RelayClient {
  /** `http://localhost:6270` */
  readonly url: string;
  readonly #storeDir: string;
  readonly #pool: Pool;

  constructor(url: string, storeDir: string) {
    this.url = url;
    this.#storeDir = storeDir;
    const timeouts = { headersTimeout: silence, bodyTimeout: silence, connectTimeout: 5_000 };
    this.#pool = new Pool(url, { connections: maxConnections, ...timeouts });
  }

  /**
   * Makes sure that a relay for our store is there.
   * @throws RelayError `relay-foreign` when something else is
   */
  async greet(): Promise<void> {
    const signal = AbortSignal.timeout(greeting);
    const { statusCode, body } = await this.#request('GET', '/nix-cache-info', signal);
    const storeDir = storeDirIn(await this.#text(body));
    if (statusCode !== 200 || storeDir !== this.#storeDir) {
      const what = storeDir === undefined ? 'no Nix cache' : `a cache for the store ${storeDir}`;
      throw new RelayError(
        'relay-foreign',
        `At ${this.url} there is ${what}, not narrowcast for ${this.#storeDir}.`,
      );
    }
  }

  /** A path's narinfo; undefined when nobody has the path. */
  async narinfo(path: HashPart): Promise<Narinfo | undefined> {
    const { statusCode, body } = await this.#request('GET', `/${path}.narinfo`);
    const text = await this.#text(body);
    return statusCode === 200 ? parseNarinfo(text, this.#storeDir) : undefined;
  }

  /** Whether the relay has the NAR in its cache directory. While it is on its way there, that is waited for, but no longer than `wait` s. */
  async isStored({ url }: Narinfo, wait = 0): Promise<boolean> {
    const { headers, body } = await this.#request('HEAD', `/${url}`, null, { prefer: `wait=${wait}` });
    await body.dump();
    return /^narrowcast\s*;\s*hit\b/.test(String(headers['cache-status'] ?? ''));
  }

  /**
   * Has the relay fetch a NAR, and tells how many bytes came each time that some did.
   * @throws RelayError `nar-missing` when no source has it now, `nar-cut` when it ended early
   */
  async fetch(
    { url, storePath, narSize }: Narinfo,
    signal: AbortSignal,
    came: (bytes: number) => void,
  ): Promise<void> {
    const { statusCode, body } = await this.#request('GET', `/${url}`, signal);
    if (statusCode !== 200) {
      await body.dump();
      throw new RelayError('nar-missing', `No source gives the NAR of ${storePath.base} now.`);
    }
    let bytes = 0;
    try {
      for await (const chunk of body) {
        bytes += chunk.length;
        came(chunk.length);
      }
    } catch (cause) {
      throw new RelayError(
        'nar-cut',
        `The NAR of ${storePath.base} ended after ${bytes} of ${narSize} bytes.`,
        { cause },
      );
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #request(
    method: 'GET' | 'HEAD',
    path: string,
    signal: AbortSignal | null = null,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await this.#pool.request({ method, path, signal, headers });
    } catch (cause) {
      throw this.#gone(cause);
    }
  }

  /** The text of a small answer. */
  async #text(body: Dispatcher.ResponseData['body']): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of body) {
        bytes += chunk.length;
        if (bytes > maxNarinfoBytes) break;
        chunks.push(chunk);
      }
    } catch (cause) {
      throw this.#gone(cause);
    }
    return Buffer.concat(chunks).toString();
  }

  #gone(cause: unknown): RelayError {
    const silent = cause instanceof errors.HeadersTimeoutError || cause instanceof errors.BodyTimeoutError;
    const what = silent ? `has been silent for ${silence / 1000} s` : 'does not answer';
    return new RelayError('relay-gone', `narrowcast at ${this.url} ${what}.`, { cause });
  }
}

function storeDirIn(cacheInfo: string): string | undefined {
  try {
    return parseCacheInfo(cacheInfo).storeDir;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
