import * as v from 'valibot';
import type { PublicKey } from '../nix/signature.ts';
import type { LogLevel } from '../telemetry/log.ts';
import { type CacheConfig, cacheConfig, cacheKeys } from './cache-table.ts';
import { key, table } from './key.ts';
import { type LanConfig, lanConfig, lanKeys } from './lan-table.ts';
import { type ListenAddress, listenAddress } from './listen-address.ts';
import { publicKeys } from './public-keys.ts';
import { type SubstituterUrl, substituters } from './substituters.ts';
import { type UploadConfig, uploadConfig, uploadKeys } from './upload-table.ts';
import { absolutePath, duration, oneOf, optionalPath } from './values.ts';

/** Everything that an operator can decide, checked and in the units of the code. */
export interface Config {
  readonly listen: ListenAddress;
  /** Absolute path without a final slash. */
  readonly storeDir: string;
  readonly substituters: readonly SubstituterUrl[];
  readonly trustedPublicKeys: ReadonlyMap<string, PublicKey>;
  /** Absolute path, or undefined for none. */
  readonly netrcFile: string | undefined;
  /** Ms. */
  readonly connectTimeout: number;
  /** Ms. */
  readonly lookupTimeout: number;
  /** Ms. */
  readonly stalledDownloadTimeout: number;
  readonly logLevel: LogLevel;
  readonly cache: CacheConfig;
  readonly lan: LanConfig;
  readonly upload: UploadConfig;
}

const oneHour = 3_600_000;
const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

/** The keys outside of any table. */
export const topKeys = {
  listen: key(
    listenAddress(),
    'localhost:6270',
    'Where the Nix of this machine finds narrowcast; `localhost` is both loopback addresses',
  ),
  'store-dir': key(absolutePath(), '/nix/store', 'The store directory that all caches must have'),
  substituters: key(
    substituters(),
    ['https://cache.nixos.org'],
    'Caches to fetch from: http, https or file; `?priority=N`: lower is asked first',
  ),
  'trusted-public-keys': key(
    publicKeys(),
    ['cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='],
    'Only what one of these keys has signed is believed',
  ),
  'netrc-file': key(optionalPath(), '', 'File with users and passwords for substituters; `""`: none'),
  'connect-timeout': key(duration(1, oneHour), '5s', 'How long connecting to a cache may take'),
  'lookup-timeout': key(
    duration(1, oneHour),
    '20s',
    'Silence of a connected cache after which a path counts as not there',
  ),
  'stalled-download-timeout': key(
    duration(1, oneHour),
    '30s',
    'Silence after which a download goes on from elsewhere',
  ),
  'log-level': key(oneOf(logLevels), 'info', 'How much is logged'),
};

/** The tables by name. A new one is a file like cache-table.ts, and its name here, in Config and in `configSchema`. */
export const tables = { cache: cacheKeys, lan: lanKeys, upload: uploadKeys };

/** Turns a parsed TOML document into Config; defaults fill the gaps. Unknown keys are check.ts's business. */
export const configSchema = v.pipe(
  v.object({
    ...topKeys,
    cache: v.optional(table(cacheKeys), {}),
    lan: v.optional(table(lanKeys), {}),
    upload: v.optional(table(uploadKeys), {}),
  }),
  v.transform(
    (all): Config => ({
      listen: all.listen,
      storeDir: all['store-dir'],
      substituters: all.substituters,
      trustedPublicKeys: all['trusted-public-keys'],
      netrcFile: all['netrc-file'],
      connectTimeout: all['connect-timeout'],
      lookupTimeout: all['lookup-timeout'],
      stalledDownloadTimeout: all['stalled-download-timeout'],
      logLevel: all['log-level'],
      cache: cacheConfig(all.cache),
      lan: lanConfig(all.lan),
      upload: uploadConfig(all.upload),
    }),
  ),
);
