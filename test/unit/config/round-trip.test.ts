import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { expect, test } from 'vitest';
import { loadConfig } from '../../../agent/config/load.ts';
import type { Option } from '../../../agent/config/options.ts';
import type { Config } from '../../../agent/config/schema.ts';
import { printDuration, printSize } from '../../../agent/config/units.ts';
import { scratch, scratchFile } from './scratch.ts';

const none = { env: {}, systemFile: scratch('absent.toml'), root: true };

const word = fc.stringMatching(/^[a-z][a-z0-9+_-]{0,12}$/);
const path = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => `/${words.join('/ ü')}`);
const port = fc.nat(65_535);
const listen = fc.oneof(
  port.map((port) => ({ host: 'localhost', addresses: ['127.0.0.1', '::1'], port })),
  port.map((port) => ({ host: '[::1]', addresses: ['::1'], port })),
  fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), port).map(([a, b, c, port]) => {
    const address = `127.${a}.${b}.${c}`;
    return { host: address, addresses: [address], port };
  }),
);
const place = fc.oneof(
  fc
    .tuple(fc.constantFrom('http', 'https'), fc.webAuthority({ withPort: true }))
    .map((parts) => parts.join('://')),
  fc.constant('file://'),
);
const substituter = fc.record(
  {
    url: fc.tuple(place, path).map((parts) => new URL(`${parts.join('')}/`)),
    priority: fc.nat(999_999_999),
  },
  { requiredKeys: ['url'] },
);
const publicKey = fc.tuple(word, fc.uint8Array({ minLength: 32, maxLength: 32 }));
const timeout = fc.integer({ min: 1, max: 3_600_000 });
const size = fc.integer({ min: 0, max: 2 ** 50 });

/** A Config, with keys as bytes. */
const config = fc.record({
  listen,
  storeDir: path,
  substituters: fc.uniqueArray(substituter, { maxLength: 64, selector: ({ url }) => url.href }),
  trustedPublicKeys: fc.uniqueArray(publicKey, { maxLength: 64, selector: ([name]) => name }),
  netrcFile: fc.option(path, { nil: undefined }),
  connectTimeout: timeout,
  lookupTimeout: timeout,
  stalledDownloadTimeout: timeout,
  logLevel: fc.constantFrom('silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'),
  cache: fc.record({
    dir: path,
    maxSize: size,
    maxAge: fc.integer({ min: 0, max: 3_650 * 86_400_000 }),
    minFree: size,
    compression: fc.constantFrom('keep', 'zstd'),
  }),
  lan: fc.record({
    discover: fc.boolean(),
    advertise: fc.boolean(),
    listen: fc.option(fc.record({ address: fc.oneof(fc.ipV4(), fc.constant('::')), port }), {
      nil: undefined,
    }),
    peers: fc.array(
      fc.webAuthority({ withPort: true }).map((host) => new URL(`http://${host}/`).href),
      { maxLength: 64 },
    ),
    shareKeys: fc.array(word, { maxLength: 64 }).map((names) => new Set(names)),
    pullThrough: fc.boolean(),
    maxUploadRate: fc.integer({ min: 0, max: 2 ** 40 }),
    maxConnections: fc.integer({ min: 1, max: 4_096 }),
  }),
  upload: fc.record({
    tokensFile: fc.option(path, { nil: undefined }),
    rootHistory: fc.integer({ min: 1, max: 100 }),
  }),
});
type Written = [string, string | string[] | boolean | number][];
type Sample = typeof config extends fc.Arbitrary<infer Value> ? Value : never;

/** The values of a Config as the operator writes them. */
function written(config: Sample): Written {
  const { lan, upload } = config;
  return [
    ['listen', `${config.listen.host}:${config.listen.port}`],
    ['store-dir', config.storeDir],
    [
      'substituters',
      config.substituters.map(({ url, priority }) =>
        priority === undefined ? url.href : `${url.href}?priority=${priority}`,
      ),
    ],
    [
      'trusted-public-keys',
      config.trustedPublicKeys.map(([name, bytes]) => `${name}:${Buffer.from(bytes).toString('base64')}`),
    ],
    ['netrc-file', config.netrcFile ?? ''],
    ['connect-timeout', printDuration(config.connectTimeout)],
    ['lookup-timeout', printDuration(config.lookupTimeout)],
    ['stalled-download-timeout', printDuration(config.stalledDownloadTimeout)],
    ['log-level', config.logLevel],
    ['cache.dir', config.cache.dir],
    ['cache.max-size', printSize(config.cache.maxSize)],
    ['cache.max-age', printDuration(config.cache.maxAge)],
    ['cache.min-free', printSize(config.cache.minFree)],
    ['cache.compression', config.cache.compression],
    ['lan.discover', lan.discover],
    ['lan.advertise', lan.advertise],
    ['lan.listen', writtenAddress(lan.listen)],
    ['lan.peers', lan.peers],
    ['lan.share-keys', [...lan.shareKeys]],
    ['lan.pull-through', lan.pullThrough],
    ['lan.max-upload-rate', printSize(lan.maxUploadRate)],
    ['lan.max-connections', lan.maxConnections],
    ['upload.tokens-file', upload.tokensFile ?? ''],
    ['upload.root-history', upload.rootHistory],
  ];
}

function writtenAddress(place: { address: string; port: number } | undefined): string {
  if (place === undefined) return '';
  return place.address === '::' ? `[::]:${place.port}` : `${place.address}:${place.port}`;
}

function asToml(entries: Written): string {
  const inner = (table: string) =>
    Object.fromEntries(
      entries
        .filter(([key]) => key.startsWith(`${table}.`))
        .map(([key, value]) => [key.slice(table.length + 1), value]),
    );
  const top = entries.filter(([key]) => !key.includes('.'));
  return stringify({
    ...Object.fromEntries(top),
    cache: inner('cache'),
    lan: inner('lan'),
    upload: inner('upload'),
  });
}

function asOptions(entries: Written): Option[] {
  return entries.map(([key, value]) => [key, Array.isArray(value) ? value.join(' ') : String(value)]);
}

function comparable(config: Config) {
  const keys = [...config.trustedPublicKeys].map(([name, { key }]) => [
    name,
    key.export({ format: 'jwk' }).x,
  ]);
  return { ...config, trustedPublicKeys: keys };
}

function comparableSample(config: Sample) {
  const keys = config.trustedPublicKeys.map(([name, bytes]) => [
    name,
    Buffer.from(bytes).toString('base64url'),
  ]);
  return { ...config, trustedPublicKeys: keys };
}

test('any configuration written as TOML is loaded as the same', async () => {
  await fc.assert(
    fc.asyncProperty(config, async (config) => {
      const loaded = await loadConfig({ ...none, file: scratchFile(asToml(written(config))) });
      expect(comparable(loaded)).toEqual(comparableSample(config));
    }),
  );
});

test('any part of it as --option does what the same in the file does', async () => {
  await fc.assert(
    fc.asyncProperty(config, config, fc.func(fc.boolean()), async (base, other, isChosen) => {
      const chosen = written(other).filter(([key]) => isChosen(key));
      const overlaid = Object.entries({
        ...Object.fromEntries(written(base)),
        ...Object.fromEntries(chosen),
      });
      const file = scratchFile(asToml(written(base)));
      const inFile = scratchFile(asToml(overlaid), 'overlaid.toml');
      const byOption = await loadConfig({ ...none, file, options: asOptions(chosen) });
      expect(comparable(byOption)).toEqual(comparable(await loadConfig({ ...none, file: inFile })));
    }),
  );
});
