import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign as nodeSign,
  verify,
} from 'node:crypto';
import fc from 'fast-check';
import nacl from 'tweetnacl';
import { beforeAll, describe, expect, test } from 'vitest';
import { FormatError } from '../../../agent/nix/error.ts';
import { type Narinfo, parseNarinfo } from '../../../agent/nix/narinfo.ts';
import { generateKeyPair, parseSecretKey, sign } from '../../../agent/nix/secret-key.ts';
import {
  fingerprint,
  maxSignatures,
  type PublicKey,
  parsePublicKey,
  parseSignature,
  printSignature,
  type Signature,
  trustedSigner,
} from '../../../agent/nix/signature.ts';
import { parseStoreBase } from '../../../agent/nix/store-path.ts';
import { bytes, keyName, narinfo as narinfoArbitrary, signature, storeDir } from './arbitrary.ts';
import { RealNix } from './real-nix.ts';

const pair = generateKeyPair('ours-1');
const secret = parseSecretKey(pair.secret);
const trusted = keyMap(pair.public);

const path = (digit: string) => parseStoreBase(`${digit.repeat(32)}-${digit}`);
const narinfo: Narinfo = {
  ...parseNarinfo(
    `StorePath: /nix/store/${path('1').base}
URL: nar/1.nar
NarHash: sha256:${'1'.repeat(52)}
NarSize: 12345
References: ${path('2').base} ${path('3').base}
`,
    storeDir,
  ),
};
const good = sign(secret, fingerprint(narinfo, storeDir));

function keyMap(...texts: string[]): ReadonlyMap<string, PublicKey> {
  return new Map(texts.map(parsePublicKey).map((key) => [key.name, key]));
}

function signerOf(signatures: readonly Signature[], keys = trusted): string | undefined {
  return trustedSigner({ ...narinfo, signatures }, storeDir, keys);
}

test('any signature comes back', () => {
  fc.assert(
    fc.property(signature, (value) => {
      expect(parseSignature(printSignature(value))).toEqual(value);
    }),
  );
});

test('any public key is read, with or without its padding', () => {
  fc.assert(
    fc.property(keyName, bytes(32), (name, raw) => {
      const text = `${name}:${Buffer.from(raw).toString('base64')}`;
      for (const written of [text, text.replace('=', ''), ` ${text}\n`]) {
        const key = parsePublicKey(written);
        expect(key.name).toBe(name);
        expect(key.key.export({ format: 'jwk' }).x).toBe(Buffer.from(raw).toString('base64url'));
      }
    }),
  );
});

const base64 = (length: number) => Buffer.alloc(length, 7).toString('base64');

test.each([
  '',
  ':',
  'name',
  'name:',
  `:${base64(64)}`,
  `${base64(64)}`,
  `a b:${base64(64)}`,
  `a\t:${base64(64)}`,
])('%j is neither a signature nor a key', (text) => {
  expect(() => parseSignature(text)).toThrow(FormatError);
  expect(() => parsePublicKey(text)).toThrow(FormatError);
  expect(() => parseSecretKey(text)).toThrow(FormatError);
});

test.each([0, 1, 31, 32, 33, 63, 65, 96, 128])('a signature has 64 bytes, not %i', (length) => {
  expect(() => parseSignature(`name:${base64(length)}`)).toThrow(FormatError);
});

test.each([0, 1, 31, 33, 64])('a public key has 32 bytes, not %i', (length) => {
  expect(() => parsePublicKey(`name:${base64(length)}`)).toThrow(FormatError);
});

test.each(['!', '-', '_', ' ', '=', '\n', 'é'])('%j does not stand in a signature', (character) => {
  const text = base64(64);
  expect(() => parseSignature(`name:${text.slice(0, 20)}${character}${text.slice(21)}`)).toThrow(FormatError);
});

test('the fingerprint is version, path, hash, size and references, which are sorted and stand once', () => {
  const references = [path('3'), path('2'), path('3')];
  const expected = `1;/nix/store/${path('1').base};sha256:${'1'.repeat(52)};12345;/nix/store/${path('2').base},/nix/store/${path('3').base}`;
  expect(fingerprint(narinfo, storeDir)).toBe(expected);
  expect(fingerprint({ ...narinfo, references }, storeDir)).toBe(expected);
  expect(fingerprint({ ...narinfo, references: [] }, '/s')).toBe(
    `1;/s/${path('1').base};sha256:${'1'.repeat(52)};12345;`,
  );
});

test('a narinfo is trusted for everything that its signature covers, and for nothing else', () => {
  const signed = { ...narinfo, signatures: [good] };
  const isTrusted = (changed: Partial<Narinfo>, store = storeDir) =>
    trustedSigner({ ...signed, ...changed }, store, trusted) === 'ours-1';
  expect(isTrusted({})).toBe(true);
  expect(isTrusted({ storePath: parseStoreBase(`${path('1').hashPart}-other`) })).toBe(false);
  expect(isTrusted({ storePath: path('2') })).toBe(false);
  expect(isTrusted({ narHash: { algorithm: 'sha256', digest: new Uint8Array(32) } })).toBe(false);
  expect(isTrusted({ narSize: 12346 })).toBe(false);
  expect(isTrusted({ references: [path('2')] })).toBe(false);
  expect(isTrusted({ references: [path('2'), path('3'), path('1')] })).toBe(false);
  expect(isTrusted({}, '/gnu/store')).toBe(false);
  expect(isTrusted({ url: 'x', compression: 'zstd', deriver: 'x', ca: 'x', fileSize: 1, extra: [] })).toBe(
    true,
  );
});

test('the signature that holds is found behind those that do not', () => {
  const stranger: Signature = { ...good, keyName: 'stranger-1' };
  const wrong: Signature = { ...good, bytes: new Uint8Array(64) };
  expect(signerOf([])).toBe(undefined);
  expect(signerOf([stranger])).toBe(undefined);
  expect(signerOf([wrong])).toBe(undefined);
  expect(signerOf([stranger, wrong, good])).toBe('ours-1');
  expect(signerOf([good], new Map())).toBe(undefined);
});

test('a signature of the wrong length holds nothing', () => {
  expect(signerOf([{ ...good, bytes: new Uint8Array() }])).toBe(undefined);
  expect(signerOf([{ ...good, bytes: good.bytes.subarray(0, 63) }])).toBe(undefined);
});

test('the first of several true signers is named', () => {
  const other = generateKeyPair('theirs-1');
  const theirs = sign(parseSecretKey(other.secret), fingerprint(narinfo, storeDir));
  const both = keyMap(pair.public, other.public);
  expect(signerOf([theirs, good], both)).toBe('theirs-1');
  expect(signerOf([good, theirs], both)).toBe('ours-1');
  expect(signerOf([theirs, good])).toBe('ours-1');
});

test('another key under a trusted name signs nothing', () => {
  const impostor = parseSecretKey(generateKeyPair('ours-1').secret);
  const forged = sign(impostor, fingerprint(narinfo, storeDir));
  expect(signerOf([forged])).toBe(undefined);
  expect(signerOf([forged, good])).toBe('ours-1');
});

test('only so many signatures by trusted names are tried, and those by strangers cost nothing', () => {
  const wrong: Signature = { ...good, bytes: new Uint8Array(64) };
  const stranger: Signature = { ...good, keyName: 'stranger-1' };
  const before = (signature: Signature, count: number) => [...Array<Signature>(count).fill(signature), good];
  expect(signerOf(before(wrong, maxSignatures - 1))).toBe('ours-1');
  expect(signerOf(before(wrong, maxSignatures))).toBe(undefined);
  expect(signerOf(before(stranger, 10 * maxSignatures))).toBe('ours-1');
});

describe('tweetnacl and node:crypto agree', () => {
  test('node:crypto verifies what tweetnacl signed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { key } = parsePublicKey(pair.public);
        const { bytes } = sign(secret, text);
        expect(verify(null, Buffer.from(text), key, bytes)).toBe(true);
        expect(verify(null, Buffer.from(`${text}.`), key, bytes)).toBe(false);
      }),
      { numRuns: 20 },
    );
  });

  test('tweetnacl verifies what node:crypto signed', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (message) => {
        const { publicKey, privateKey } = generateKeyPairSync('ed25519');
        const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
        const signed = nodeSign(null, message, privateKey);
        expect(nacl.sign.detached.verify(message, signed, raw)).toBe(true);
        expect(parsePublicKey(`k:${raw.toString('base64')}`).key.equals(publicKey)).toBe(true);
      }),
      { numRuns: 10 },
    );
  });

  test('both sign alike with the same seed', () => {
    const seed = Buffer.from(pair.secret.split(':')[1] ?? '', 'base64').subarray(0, 32);
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const text = fingerprint(narinfo, storeDir);
    expect(createPublicKey(privateKey).equals(parsePublicKey(pair.public).key)).toBe(true);
    expect(Buffer.from(good.bytes)).toEqual(nodeSign(null, Buffer.from(text), privateKey));
  });
});

test('whatever narinfo we sign is trusted after it was printed and read', () => {
  fc.assert(
    fc.property(narinfoArbitrary, (unsigned) => {
      const signed = { ...unsigned, signatures: [sign(secret, fingerprint(unsigned, storeDir))] };
      expect(trustedSigner(signed, storeDir, trusted)).toBe('ours-1');
      expect(trustedSigner({ ...signed, narSize: signed.narSize - 1 }, storeDir, trusted)).toBe(undefined);
    }),
    { numRuns: 20 },
  );
});

describe('real Nix', () => {
  let theirs: string[];
  let keys: ReadonlyMap<string, PublicKey>;

  beforeAll(() => {
    using nix = new RealNix();
    nix.run('nix-store', '--generate-binary-cache-key', 'theirs-1', 'secret', 'public');
    nix.run(
      'nix-instantiate',
      '--eval',
      '--read-write-mode',
      '-E',
      `let a = builtins.toFile "a" "1"; b = builtins.toFile "b" "2";
       in builtins.toFile "c" "\${a} \${b} \${builtins.toFile "d" a}"`,
    );
    theirs = nix.narinfos('compression=xz&secret-key=secret');
    keys = keyMap(nix.read('public'));
  });

  test('signs what we trust', () => {
    const narinfos = theirs.map((text) => parseNarinfo(text, storeDir));
    expect(narinfos.map(({ references }) => references.length).sort()).toEqual([0, 0, 1, 3]);
    for (const narinfo of narinfos) {
      expect(trustedSigner(narinfo, storeDir, keys)).toBe('theirs-1');
      expect(trustedSigner({ ...narinfo, narSize: narinfo.narSize + 1 }, storeDir, keys)).toBe(undefined);
    }
  });
});
