import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../agent/config/error.ts';
import { loadConfig } from '../../../agent/config/load.ts';
import { scratch, scratchFile } from './scratch.ts';

const none = { env: {}, systemFile: scratch('absent.toml') };

async function refusal(toml: string | Uint8Array): Promise<string> {
  const file = scratchFile(toml);
  const error = await loadConfig({ ...none, file }).catch((error: unknown) => error);
  if (!(error instanceof ConfigError)) return expect.fail(`no ConfigError but ${error}`);
  return error.message.replaceAll(file, 'FILE');
}

const loopback =
  /^listen = .* \(FILE\): expected a loopback host and a port from 0 to 65535, such as "localhost:6270"/;
const path = /: expected an absolute path/;
const timeout = /: expected a duration from 1ms to 1h in quotes, such as "5s" or "150ms"$/;
const url = /: expected an http, https or file URL, such as/;
const publicKey = /: expected a public key as name:base64, such as/;
const size = /: expected a size up to 1024TiB in quotes, such as "20GiB" or "512MiB", or "0"$/;

describe('one wrong value', () => {
  test.each([
    ['listen = 6270', loopback],
    ['listen = "localhost"', loopback],
    ['listen = "localhost:65536"', loopback],
    ['listen = "localhost:-1"', loopback],
    ['listen = "0.0.0.0:6270"', loopback],
    ['listen = "[::]:6270"', loopback],
    ['listen = "192.168.0.2:6270"', loopback],
    ['listen = "::1:6270"', loopback],
    ['listen = "127.0.0.256:6270"', loopback],
    ['listen = "127.0.0.1.example.org:80"', loopback],
    ['store-dir = "nix/store"', path],
    ['store-dir = "/nix/store/"', path],
    ['store-dir = "/nix/../store"', path],
    ['store-dir = "/nix//store"', path],
    ['store-dir = "/"', path],
    ['store-dir = "/nix\\nStorePath: x"', path],
    [`store-dir = "/${'x'.repeat(2_048)}"`, /: expected at most 2048 characters$/],
    ['substituters = "https://cache.nixos.org"', /: expected a list of URLs$/],
    ['substituters = ["cache.nixos.org"]', url],
    ['substituters = ["ftp://cache.nixos.org"]', url],
    ['substituters = ["s3://bucket"]', url],
    ['substituters = [1]', url],
    [
      'substituters = ["https://token@a.example"]',
      /: expected a URL without user and password: they belong into netrc-file$/,
    ],
    ['substituters = ["file://mnt/usb"]', /: expected a file URL with three slashes/],
    [
      'substituters = ["https://a.example?trusted=true"]',
      /: expected a URL with no parameter but \?priority=N$/,
    ],
    ['substituters = ["https://a.example#x"]', /: expected a URL with no parameter but \?priority=N$/],
    ['substituters = ["https://a.example?priority=-1"]', /: expected a whole number as priority/],
    ['substituters = ["https://a.example?priority="]', /: expected a whole number as priority/],
    [`substituters = [${'"https://a.example",'.repeat(65)}]`, /: expected at most 64 of them$/],
    ['trusted-public-keys = ["cache.nixos.org-1"]', publicKey],
    ['trusted-public-keys = ["a:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDSh"]', publicKey],
    [
      'trusted-public-keys = ["a:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=", "a:7NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]',
      /: expected a list in which different keys have different names$/,
    ],
    ['netrc-file = "netrc"', path],
    ['connect-timeout = "0"', timeout],
    ['connect-timeout = "61min"', timeout],
    ['lookup-timeout = 20', timeout],
    ['stalled-download-timeout = "soon"', timeout],
    ['log-level = "loud"', /: expected one of "silent", "fatal", "error", "warn", "info", "debug", "trace"$/],
    ['cache = true', /^cache = true \(FILE\): expected a table$/],
    ['[[cache]]', /^cache = \[\{\}\] \(FILE\): expected a table$/],
    ['cache = 2020-01-01', /: expected a table$/],
    ['[cache]\ndir = ""', path],
    ['[cache]\nmax-size = "20GB"', size],
    ['[cache]\nmax-size = 1e9', size],
    ['[cache]\nmin-free = "1025TiB"', size],
    ['[cache]\nmax-age = "3651d"', /: expected a duration from 0 to 3650d in quotes/],
    ['[cache]\ncompression = "xz"', /: expected one of "keep", "zstd"$/],
  ])('%s', async (toml, message) => {
    expect(await refusal(toml)).toMatch(message);
  });

  test('is shown as it was received, and shortened', async () => {
    expect(await refusal('log-level = "a\\nb"')).toMatch(/^log-level = "a\\nb" \(FILE\): /);
    expect(await refusal(`log-level = "${'x'.repeat(1_000)}"`)).toMatch(/^log-level = "x{98}… \(FILE\): /);
  });
});

describe('a key that is not known', () => {
  test.each([
    ['substitutors = []', 'substitutors = [] (FILE): there is no such key; did you mean substituters?'],
    ['storeDir = "/x"', 'storeDir = "/x" (FILE): there is no such key; did you mean store-dir?'],
    [
      'trusted_public_keys = []',
      'trusted_public_keys = [] (FILE): there is no such key; did you mean trusted-public-keys?',
    ],
    ['max-size = "1GiB"', 'max-size = "1GiB" (FILE): there is no such key; did you mean cache.max-size?'],
    [
      '[cache]\nmax-sise = "1GiB"',
      'cache.max-sise = "1GiB" (FILE): there is no such key; did you mean cache.max-size?',
    ],
    ['[cach]', 'cach = {} (FILE): there is no such key; did you mean cache?'],
    ['colour = 1', "colour = 1 (FILE): there is no such key; 'narrowcast serve --help' lists the keys"],
    ['toString = 1', "toString = 1 (FILE): there is no such key; 'narrowcast serve --help' lists the keys"],
    ['__proto__ = 1', "__proto__ = 1 (FILE): there is no such key; 'narrowcast serve --help' lists the keys"],
    [
      '[cache]\nconstructor = 1',
      "cache.constructor = 1 (FILE): there is no such key; 'narrowcast serve --help' lists the keys",
    ],
    ['"cache.dir" = "/x"', 'cache.dir = "/x" (FILE): there is no such key; write it without quotes'],
  ])('%s', async (toml, message) => {
    expect(await refusal(toml)).toBe(message);
  });
});

test('all problems come at once, each with where it is from', async () => {
  const file = scratchFile('listen = "0.0.0.0:1"\ncolour = 1\n[cache]\ndir = "x"\n');
  const options = [
    ['log-level', 'loud'],
    ['cache.depth', '3'],
    ['listen.port', '3'],
  ] as const;
  const error = await loadConfig({ ...none, file, options }).catch((error: unknown) => error);
  const lines = String(error).replaceAll(file, 'FILE').split('\n');
  expect(lines[0]).toBe('ConfigError: 6 settings are wrong:');
  expect(
    lines
      .slice(1)
      .map((line) => line.replace(/:.*/, ''))
      .toSorted(),
  ).toEqual([
    '  cache.depth = "3" (--option)',
    '  cache.dir = "x" (FILE)',
    '  colour = 1 (FILE)',
    '  listen = "0.0.0.0',
    '  listen.port = "3" (--option)',
    '  log-level = "loud" (--option)',
  ]);
});

test('of very many problems only twenty are told', async () => {
  const lines = (await refusal(Array.from({ length: 500 }, (_, i) => `colour${i} = 1`).join('\n'))).split(
    '\n',
  );
  expect([lines[0], lines.length, lines.at(-1)]).toEqual(['500 settings are wrong:', 22, '  and 480 more']);
});

describe('a file that is not TOML', () => {
  test.each([
    ['listen = localhost:6270\n', 'FILE:1:10: not TOML: invalid value'],
    ['log-level = "info"\n\n[cache\n', 'FILE:3:7: not TOML: '],
    ['listen = "x"\nlisten = "y"', 'FILE:2:1: not TOML: '],
    [Buffer.from('listen = "x"\nb = "\xe9"', 'latin1'), 'FILE:2:6: not UTF-8'],
    [`listen = "${'x'.repeat(1_048_576)}"`, 'FILE is longer than 1 MiB'],
    [`a = ${'['.repeat(10_000)}`, 'FILE:1:'],
  ])('%#', async (content, message) => {
    expect(await refusal(content)).toContain(message);
  });

  test('or that has no end', async () => {
    await expect(loadConfig({ ...none, file: '/dev/zero' })).rejects.toThrow(
      '/dev/zero is longer than 1 MiB',
    );
  });

  test('or is a directory', async () => {
    await expect(loadConfig({ ...none, file: '/' })).rejects.toThrow(
      'The configuration file / cannot be read: EISDIR',
    );
  });
});

describe('a secret does not appear in the message', () => {
  test.each([
    'substituters = ["https://user:hunter2@cache.example"]',
    'substituters = ["https://user:hun/hunter2@cache example"]',
    'substituters = ["https://cache.example/?secret=hunter2"]',
    'substituters = ["ftp://user:hunter2@cache.example"]',
    `substituters = "https://user:hunter2@cache.example"`,
    `substituters = [${'"https://user:hunter2@cache.example",'.repeat(65)}]`,
    'substituter = ["https://user:hunter2@cache.example"]',
    'password = "hunter2"',
    '[upload]\ntoken = "hunter2"',
    'password = "hunter2',
    `trusted-public-keys = ["a:hunter2${'A'.repeat(79)}=="]`,
  ])('%s', async (toml) => {
    expect(await refusal(toml)).not.toContain('hunter2');
  });

  test('but where it belongs does', async () => {
    expect(await refusal('substituters = ["https://user:hunter2@cache.example/x"]')).toBe(
      'substituters = "https://cache.example/x" (FILE): expected a URL without user and password: they belong into netrc-file',
    );
  });
});
