import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import type { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { LanFace, type LanFaceOptions } from '../../../agent/http/lan.ts';
import { FaceServer } from '../../../agent/http/server.ts';
import { generateKeyPair, parseSecretKey, type SecretKey, sign } from '../../../agent/nix/secret-key.ts';
import { fingerprint, parsePublicKey } from '../../../agent/nix/signature.ts';
import { createLogger } from '../../../agent/telemetry/log.ts';
import { type Sample, type SampleOptions, sample, store, storeDir } from '../cache/support/sample.ts';
import { openCache, temporaryDirectory } from '../cache/support/temporary.ts';

const pair = generateKeyPair('public-1');
export const publicKeyText = pair.public;
const publicKey = parsePublicKey(pair.public);
export const sharedKey = parseSecretKey(pair.secret);
export const privateKey = parseSecretKey(generateKeyPair('private-1').secret);

/** A LAN face on loopback over a cache directory of its own. */
export interface Served {
  readonly port: number;
  readonly cache: DiskCache;
  /** Of the cache. */
  readonly dir: string;
  /** Puts a path into the cache directory, signed by the keys named; the first is the one that is shared. */
  keep(keys: readonly ('shared' | 'private')[], options?: SampleOptions): Promise<Sample>;
}

/** Serves until the test has ended. */
export async function serveLan(options: Partial<LanFaceOptions> = {}, maxConnections = 64): Promise<Served> {
  const dir = await temporaryDirectory();
  const cache = await openCache({ dir });
  const face = new LanFace({
    storeDir,
    cache,
    otherFiles: cache.otherFiles,
    shareKeys: new Map([[publicKey.name, publicKey]]),
    instance: 'narrowcast-me',
    maxRequests: 64,
    pace: (_, chunks) => chunks,
    pullThrough: undefined,
    ...options,
  });
  const log = await createLogger('silent');
  const server = new FaceServer((asked, response) => face.handle(asked, response), log, maxConnections);
  const port = await server.listen(['127.0.0.1'], 0);
  onTestFinished(() => server.stop());
  return {
    port,
    cache,
    dir,
    async keep(keys, sampleOptions) {
      const kept = signed(
        sample(sampleOptions),
        keys.map((key) => (key === 'shared' ? sharedKey : privateKey)),
      );
      if (!(await store(cache, kept))) throw new Error('the cache refused the sample');
      return kept;
    },
  };
}

export function signed(unsigned: Sample, keys: readonly SecretKey[]): Sample {
  const text = fingerprint(unsigned.narinfo, storeDir);
  return {
    ...unsigned,
    narinfo: { ...unsigned.narinfo, signatures: keys.map((key) => sign(key, text)) },
  };
}

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

/** One request on a connection of its own; the path goes out as it is. */
export function ask(
  port: number,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      buffer(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        reject,
      );
    });
    asked.once('error', reject);
    asked.end();
  });
}
