import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../agent/nix/error.ts';
import { formatHash, parseHash } from '../../../agent/nix/hash.ts';
import { generateKeyPair, parseSecretKey, sign } from '../../../agent/nix/secret-key.ts';
import { parsePublicKey, printSignature } from '../../../agent/nix/signature.ts';
import { keyName } from './arbitrary.ts';
import { RealNix } from './real-nix.ts';

test('a generated pair is read back under its name', () => {
  fc.assert(
    fc.property(keyName, (name) => {
      const pair = generateKeyPair(name);
      expect(parseSecretKey(pair.secret).name).toBe(name);
      expect(parseSecretKey(`${pair.secret}\n`).name).toBe(name);
      expect(parsePublicKey(pair.public).name).toBe(name);
    }),
    { numRuns: 10 },
  );
});

test('no two pairs are alike', () => {
  expect(generateKeyPair('a').secret).not.toBe(generateKeyPair('a').secret);
});

test.each(['', ' ', 'a b', 'a:b', 'a\n', '\0'])('a key cannot be named %j', (name) => {
  expect(() => generateKeyPair(name)).toThrow(FormatError);
});

test('a key whose halves do not belong together is refused', () => {
  const halves = [generateKeyPair('a'), generateKeyPair('a')].map(({ secret }) => rawKey(secret));
  const mixed = Buffer.concat(
    [halves[0]?.subarray(0, 32) ?? '', halves[1]?.subarray(32) ?? ''].map(Buffer.from),
  );
  expect(() => parseSecretKey(`a:${mixed.toString('base64')}`)).toThrow(FormatError);
});

describe('nothing shows the secret', () => {
  const { secret } = generateKeyPair('ours-1');
  const key = parseSecretKey(secret);
  const fragments = [secret.slice(7, 15), rawKey(secret).subarray(0, 4).toString('hex')];

  test('not as text, as JSON, inspected, copied or within something else', () => {
    expect(String(key)).toBe('ours-1');
    expect(JSON.stringify({ keys: [key] })).toBe('{"keys":[{"name":"ours-1"}]}');
    expect(inspect(key, { showHidden: true, depth: null, getters: true })).toBe(
      "SecretKey { name: 'ours-1' }",
    );
    expect(inspect(new Error('with a key', { cause: key }))).toContain(
      "[cause]: SecretKey { name: 'ours-1' }",
    );
    expect([{ ...key }, structuredClone(key)]).toEqual([{ name: 'ours-1' }, { name: 'ours-1' }]);
    expect(Reflect.ownKeys(key)).toEqual(['name']);
  });

  test.each([
    secret.slice(0, -4),
    `${secret}AAAA`,
    `${secret}!`,
    secret.replace(':', ''),
    secret.split(':').reverse().join(':'),
    secret.replace('ours-1', ''),
    secret.replace('ours-1', 'ours 1'),
  ])('errors about damaged key %#', (damaged) => {
    const shown = errorOf(() => parseSecretKey(damaged));
    for (const fragment of fragments) expect(shown).not.toContain(fragment);
  });

  test('an error about halves that do not match', () => {
    const raw = rawKey(secret);
    raw[40] = (raw[40] ?? 0) ^ 1;
    const shown = errorOf(() => parseSecretKey(`ours-1:${raw.toString('base64')}`));
    for (const fragment of fragments) expect(shown).not.toContain(fragment);
  });
});

describe('real Nix', () => {
  test('and we read the same keys and sign alike', () => {
    using nix = new RealNix();
    nix.run('nix-store', '--generate-binary-cache-key', 'theirs-1', 'secret', 'public');
    const ours = generateKeyPair('ours-1');
    nix.file('our-secret', ours.secret);

    const theirSecret = nix.read('secret');
    expect(theirSecret).toMatch(/^theirs-1:[A-Za-z0-9+/]{86}==$/);
    expect(ours.secret).toMatch(/^ours-1:[A-Za-z0-9+/]{86}==$/);
    expect(nix.read('public')).toMatch(/^theirs-1:[A-Za-z0-9+/]{43}=$/);
    expect(ours.public).toMatch(/^ours-1:[A-Za-z0-9+/]{43}=$/);

    const [path = ''] = nix.run('nix-store', '--add', nix.file('content', 'x')).trim().split('\n');
    nix.run('nix', 'store', 'sign', '-k', 'secret', path);
    nix.run('nix', 'store', 'sign', '-k', 'our-secret', path);
    const info = nix.pathInfo(path);
    const narHash = formatHash(parseHash(info?.narHash ?? ''), 'base32');
    const signed = `1;${path};${narHash};${info?.narSize};`;
    const signatures = [theirSecret, ours.secret].map((text) =>
      printSignature(sign(parseSecretKey(text), signed)),
    );
    expect(info?.signatures.toSorted()).toEqual(signatures.toSorted());
  });
});

function rawKey(secret: string): Buffer {
  return Buffer.from(secret.split(':')[1] ?? '', 'base64');
}

function errorOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return inspect(error, { showHidden: true, depth: null });
  }
  throw new Error('There was no error.');
}
