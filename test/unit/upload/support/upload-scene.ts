import { readdir } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import {
  DiskCache,
  type DiskCacheConfig,
  type DiskCacheOptions,
} from '../../../../agent/cache/disk-cache.ts';
import { LanFace } from '../../../../agent/http/lan.ts';
import { FaceServer } from '../../../../agent/http/server.ts';
import { UploadFace } from '../../../../agent/http/upload.ts';
import { generateKeyPair, parseSecretKey } from '../../../../agent/nix/secret-key.ts';
import { parsePublicKey } from '../../../../agent/nix/signature.ts';
import { Counters } from '../../../../agent/telemetry/counters.ts';
import { createLogger } from '../../../../agent/telemetry/log.ts';
import type { Uploader as Person } from '../../../../agent/upload/token-file.ts';
import { storeDir } from '../../cache/support/sample.ts';
import { temporaryDirectory } from '../../cache/support/temporary.ts';
import { Uploader } from './uploader.ts';

const pairs = ['builder-1', 'other-1', 'foreign-1'].map(generateKeyPair);
/** Two keys that the cache trusts, and one that it does not. */
export const [builderKey, otherKey, foreignKey] = pairs.map(({ secret }) => parseSecretKey(secret)) as [
  ReturnType<typeof parseSecretKey>,
  ReturnType<typeof parseSecretKey>,
  ReturnType<typeof parseSecretKey>,
];
const trusted = pairs.slice(0, 2).map((pair) => parsePublicKey(pair.public));

const people: readonly (Person & { readonly token: string })[] = [
  { name: 'builder', token: 'secret', keys: undefined },
  { name: 'limited', token: 'secret', keys: new Set(['other-1']) },
];

export interface Scene {
  readonly dir: string;
  readonly cache: DiskCache;
  readonly counters: Counters;
  /** What was logged of refused uploads. */
  readonly refusals: readonly object[];
  /** May use every key. */
  readonly builder: Uploader;
  /** May use other-1 only. */
  readonly limited: Uploader;
  /** Has no token. */
  readonly stranger: Uploader;
  readonly port: number;
  /** Names of narinfos and of files in `nar/`. */
  visible(): Promise<string[]>;
  /** Names in `uploads/`. */
  staged(): Promise<string[]>;
}

/** A LAN face that takes uploads, until the test has ended. Its tokens are plain, for tokens.test.ts has the file. */
export async function uploadScene(
  config: Partial<DiskCacheConfig> = {},
  options: DiskCacheOptions = {},
  stalled = 10_000,
): Promise<Scene> {
  const dir = config.dir ?? (await temporaryDirectory());
  const cache = await DiskCache.open(
    { storeDir, maxSize: 0, maxAge: 0, minFree: 0, ...config, dir },
    options,
  );
  const keys = new Map(trusted.map((key) => [key.name, key]));
  const counters = new Counters();
  const refusals: object[] = [];
  const uploads = new UploadFace({
    storeDir,
    cache,
    tokens: {
      async uploader(header = '') {
        const text = Buffer.from(header.replace('Basic ', ''), 'base64').toString();
        return people.find(({ name, token }) => text === `${name}:${token}`);
      },
    },
    trustedKeys: keys,
    rootHistory: 3,
    stalled,
    counters,
    log: { info: (entry) => void refusals.push(entry) },
  });
  const face = new LanFace({
    storeDir,
    cache,
    otherFiles: cache.otherFiles,
    shareKeys: new Map([...keys].slice(0, 1)),
    instance: 'narrowcast-me',
    maxRequests: 64,
    pace: (_, chunks) => chunks,
    pullThrough: undefined,
    uploads: (request, response) => uploads.handle(request, response),
    finished: () => {},
  });
  const log = await createLogger('silent');
  const server = new FaceServer((request, response) => face.handle(request, response), log, 64);
  const port = await server.listen(['127.0.0.1'], 0);
  onTestFinished(async () => {
    await server.stop();
    await cache.close();
  });
  const named = async (folder: string) => await readdir(`${dir}/${folder}`);
  return {
    dir,
    cache,
    counters,
    refusals,
    port,
    builder: new Uploader(port, 'builder:secret'),
    limited: new Uploader(port, 'limited:secret'),
    stranger: new Uploader(port),
    visible: async () => [
      ...(await named('')).filter((name) => name.endsWith('.narinfo')),
      ...(await named('nar')),
    ],
    staged: () => named('uploads'),
  };
}
