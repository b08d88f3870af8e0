import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../../agent/config/load.ts';
import { scratch, scratchFile } from './scratch.ts';

const none = { env: {}, systemFile: scratch('absent.toml'), root: true };
const port = (number: number) => `listen = "localhost:${number}"`;

test('without any file the defaults of the design hold', async () => {
  const { trustedPublicKeys, ...config } = await loadConfig(none);
  expect(config).toEqual({
    listen: { host: 'localhost', addresses: ['127.0.0.1', '::1'], port: 6270 },
    storeDir: '/nix/store',
    substituters: [{ url: new URL('https://cache.nixos.org/') }],
    netrcFile: undefined,
    connectTimeout: 5_000,
    lookupTimeout: 20_000,
    stalledDownloadTimeout: 30_000,
    logLevel: 'info',
    cache: {
      dir: '/var/cache/narrowcast',
      maxSize: 20 * 2 ** 30,
      maxAge: 0,
      minFree: 2 ** 30,
      compression: 'keep',
    },
    lan: {
      discover: true,
      advertise: true,
      listen: { address: '::', port: 6271 },
      peers: [],
      shareKeys: new Set(['cache.nixos.org-1']),
      pullThrough: false,
      maxUploadRate: 0,
      maxConnections: 64,
    },
    upload: { tokensFile: undefined, rootHistory: 3 },
  });
  const [[name, { key }] = expect.fail('no key'), ...others] = trustedPublicKeys;
  expect([name, key.export({ format: 'jwk' }).x, others]).toEqual([
    'cache.nixos.org-1',
    '6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY',
    [],
  ]);
});

test('--option wins over --config over $NARROWCAST_CONFIG over the system file', async () => {
  const systemFile = scratchFile(port(1), 'system.toml');
  const env = { NARROWCAST_CONFIG: scratchFile(port(2), 'env.toml') };
  const file = scratchFile(port(3), 'named.toml');
  const options = [
    ['listen', 'localhost:4'],
    ['listen', 'localhost:5'],
  ] as const;
  const loaded = [
    { env: {}, systemFile },
    { env: { NARROWCAST_CONFIG: '' }, systemFile },
    { env, systemFile },
    { env, systemFile, file },
    { env, systemFile, file, options },
  ].map(async (sources) => (await loadConfig(sources)).listen.port);
  expect(await Promise.all(loaded)).toEqual([1, 1, 2, 3, 5]);
});

test('a file that is named must exist, the system file need not', async () => {
  const absent = scratch('absent.toml');
  const message = `The configuration file ${absent} cannot be read: ENOENT`;
  await expect(loadConfig({ ...none, file: absent })).rejects.toThrow(message);
  await expect(loadConfig({ ...none, env: { NARROWCAST_CONFIG: absent } })).rejects.toThrow(message);
  await expect(loadConfig({ ...none, systemFile: absent })).resolves.toBeDefined();
});

describe('the cache directory by default', () => {
  test.each([
    ['of root', true, { XDG_CACHE_HOME: '/x', HOME: '/home/u' }, '/var/cache/narrowcast'],
    ['with XDG_CACHE_HOME', false, { XDG_CACHE_HOME: '/x', HOME: '/home/u' }, '/x/narrowcast'],
    ['with a final slash there', false, { XDG_CACHE_HOME: '/x/' }, '/x/narrowcast'],
    [
      'with a relative one, which counts for nothing',
      false,
      { XDG_CACHE_HOME: 'x', HOME: '/home/u' },
      '/home/u/.cache/narrowcast',
    ],
    ['with HOME only', false, { HOME: '/home/u' }, '/home/u/.cache/narrowcast'],
  ])('%s', async (_case, root, env, dir) => {
    const { cache } = await loadConfig({ ...none, env, root });
    expect(cache).toMatchObject({ dir, compression: 'keep' });
  });

  test('gives way to the one that is configured', async () => {
    const file = scratchFile('[cache]\ndir = "/srv/cache"');
    const { cache } = await loadConfig({ ...none, file, root: false });
    expect(cache.dir).toBe('/srv/cache');
  });
});

test('listen means the addresses of its name', async () => {
  const listen = async (value: string) =>
    (await loadConfig({ ...none, options: [['listen', value]] })).listen;
  expect(await listen('localhost:0')).toEqual({
    host: 'localhost',
    addresses: ['127.0.0.1', '::1'],
    port: 0,
  });
  expect(await listen('127.3.2.1:65535')).toEqual({
    host: '127.3.2.1',
    addresses: ['127.3.2.1'],
    port: 65_535,
  });
  expect(await listen('[::1]:80')).toEqual({ host: '[::1]', addresses: ['::1'], port: 80 });
});

test('substituters keep their order, are taken once, and lose ?priority', async () => {
  const value =
    'https://b.example/x http://a.example?priority=40 file:///mnt/usb https://b.example/x/?priority=3';
  const { substituters } = await loadConfig({ ...none, options: [['substituters', value]] });
  expect(substituters).toEqual([
    { url: new URL('https://b.example/x/') },
    { url: new URL('http://a.example/'), priority: 40 },
    { url: new URL('file:///mnt/usb/') },
  ]);
});
