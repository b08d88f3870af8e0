import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { narUrl } from '../../../../agent/cache/layout.ts';
import { fileExtension } from '../../../../agent/nix/compression.ts';
import { type Narinfo, printNarinfo } from '../../../../agent/nix/narinfo.ts';
import { type SecretKey, sign } from '../../../../agent/nix/secret-key.ts';
import { fingerprint } from '../../../../agent/nix/signature.ts';
import { type SampleOptions, sample, storeDir } from '../../cache/support/sample.ts';

/** A path as a builder has it, ready to be sent. */
export interface Packed {
  readonly narinfo: Narinfo;
  /** `/<hash part>.narinfo` */
  readonly narinfoPath: string;
  readonly text: string;
  /** `/nar/<file hash>.nar<ending>`, with the ending that Nix gives it. */
  readonly narPath: string;
  readonly file: Buffer;
}

/** A sample signed by the keys, whose URL is as Nix has it. */
export function packed(keys: readonly SecretKey[], options: SampleOptions = {}): Packed {
  const { narinfo: made, file, fileHash } = sample(options);
  const ours = options.compression === 'gzip' ? 'none' : made.compression;
  const { url } = narUrl(fileHash, ours);
  const text = fingerprint(made, storeDir);
  const signatures = keys.map((key) => sign(key, text));
  const narinfo = { ...made, url, fileHash, fileSize: file.length, signatures };
  if (!url.endsWith(`.nar${fileExtension(ours)}`)) throw new Error(`${url} has no such ending`);
  return {
    narinfo,
    narinfoPath: `/${narinfo.storePath.hashPart}.narinfo`,
    text: printNarinfo(narinfo, storeDir),
    narPath: `/${url}`,
    file,
  };
}

/** What came back. */
export interface Reply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
  /** Whether the server asked for the body. */
  readonly continued: boolean;
}

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Sends that many bytes of the body and then cuts the connection. */
  readonly cutAfter?: number;
  /** Waits for `100 Continue` before the body. */
  readonly expect?: boolean;
}

/** Somebody with a token, or without. */
export class Uploader {
  readonly #port: number;
  readonly #authorization: Readonly<Record<string, string>>;

  constructor(port: number, credentials?: string) {
    this.#port = port;
    const encoded = credentials === undefined ? undefined : Buffer.from(credentials).toString('base64');
    this.#authorization = encoded === undefined ? {} : { authorization: `Basic ${encoded}` };
  }

  /** One request on a connection of its own. Rejects when the connection is cut, also by ourselves. */
  send(method: string, path: string, options: SendOptions = {}): Promise<Reply> {
    const { headers = {}, body, cutAfter, expect = false } = options;
    let continued = false;
    return new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': String(body.length) };
      const asked = request(
        {
          host: '127.0.0.1',
          port: this.#port,
          method,
          path,
          agent: false,
          headers: {
            ...this.#authorization,
            ...length,
            ...(expect && { expect: '100-continue' }),
            ...headers,
          },
        },
        (response) => {
          const { statusCode: status = 0 } = response;
          buffer(response).then(
            (bytes) => resolve({ status, headers: response.headers, body: bytes, continued }),
            reject,
          );
        },
      );
      asked.once('error', reject);
      const go = () => {
        if (cutAfter === undefined) asked.end(body);
        else
          asked.write(body?.subarray(0, cutAfter), () => setImmediate(() => asked.destroy(new Error('cut'))));
      };
      if (!expect) return go();
      asked.once('continue', () => {
        continued = true;
        go();
      });
      return asked.flushHeaders();
    });
  }

  putNar({ narPath, file }: Packed, options: SendOptions = {}): Promise<Reply> {
    return this.send('PUT', narPath, { body: file, ...options });
  }

  putNarinfo({ narinfoPath, text }: Packed, options: SendOptions = {}): Promise<Reply> {
    return this.send('PUT', narinfoPath, { body: Buffer.from(text), ...options });
  }

  /** Sends what is missing of a path, going on where an earlier try was cut. Rejects when this one is, or is refused. */
  async push(path: Packed): Promise<void> {
    const { status, headers } = await this.send('HEAD', path.narPath);
    const { length: size } = path.file;
    const offset = Number(headers['upload-offset'] ?? 0);
    const range = { 'content-range': `bytes ${offset}-${size - 1}/${size}` };
    if (status !== 200)
      must(await this.putNar(path, { body: path.file.subarray(offset), headers: offset > 0 ? range : {} }));
    must(await this.putNarinfo(path));
  }
}

function must({ status, body }: Reply): void {
  if (status !== 200 && status !== 201) throw new Error(`${status}: ${body}`);
}
