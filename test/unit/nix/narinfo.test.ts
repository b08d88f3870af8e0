import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compressions } from '../../../agent/nix/compression.ts';
import { FormatError } from '../../../agent/nix/error.ts';
import { formatHash } from '../../../agent/nix/hash.ts';
import { maxNarinfoBytes, parseNarinfo, printNarinfo } from '../../../agent/nix/narinfo.ts';
import { maxSignatures, printSignature } from '../../../agent/nix/signature.ts';
import { narinfo as narinfoArbitrary, storeDir } from './arbitrary.ts';
import { RealNix } from './real-nix.ts';

const hash = (digit: string) => digit.repeat(52);
const base = (digit: string) => `${digit.repeat(32)}-${digit}`;
const signature = (name: string) => `${name}:${Buffer.alloc(64, name).toString('base64')}`;

const complete = `StorePath: /nix/store/${base('1')}
URL: nar/${hash('0')}.nar.xz
Compression: xz
FileHash: sha256:${hash('0')}
FileSize: 100
NarHash: sha256:${hash('1')}
NarSize: 200
References: ${base('1')} ${base('2')}
Deriver: ${base('3')}.drv
Sig: ${signature('a-1')}
Sig: ${signature('b-1')}
CA: fixed:r:sha256:${hash('1')}
System: x86_64-linux
Colour: as you like: it
Colour: ünï
`;

const parse = (text: string) => parseNarinfo(text, storeDir);
const print = (text: string) => printNarinfo(parse(text), storeDir);

/** The complete narinfo with that field's (first) line replaced, or removed. */
function withLine(key: string, line: string): string {
  return complete.replace(new RegExp(`^${key}: .*\n`, 'm'), () => line);
}

const withValue = (key: string, value: string) => withLine(key, `${key}: ${value}\n`);

test('any narinfo comes back from its text', () => {
  fc.assert(
    fc.property(narinfoArbitrary, (narinfo) => {
      expect(parse(printNarinfo(narinfo, storeDir))).toEqual(narinfo);
    }),
  );
});

test('a text in strict form comes back from what it says', () => {
  expect(print(complete)).toBe(complete);
});

test('every field is where it belongs', () => {
  const { signatures, fileHash, narHash, references, ...others } = parse(complete);
  expect(others).toEqual({
    storePath: { hashPart: '1'.repeat(32), name: '1', base: base('1') },
    url: `nar/${hash('0')}.nar.xz`,
    compression: 'xz',
    fileSize: 100,
    narSize: 200,
    deriver: `${base('3')}.drv`,
    ca: `fixed:r:sha256:${hash('1')}`,
    extra: [
      ['System', 'x86_64-linux'],
      ['Colour', 'as you like: it'],
      ['Colour', 'ünï'],
    ],
  });
  expect(fileHash && formatHash(fileHash, 'base32')).toBe(`sha256:${hash('0')}`);
  expect(formatHash(narHash, 'base32')).toBe(`sha256:${hash('1')}`);
  expect(references.map((reference) => reference.base)).toEqual([base('1'), base('2')]);
  expect(signatures.map(printSignature)).toEqual([signature('a-1'), signature('b-1')]);
});

describe('reading is tolerant of how it is written', () => {
  test.each([
    ['CRLF', complete.replaceAll('\n', '\r\n')],
    ['no last newline', complete.slice(0, -1)],
    ['blank lines', `\n${complete.replaceAll('\n', '\n \t\n\r\n')}`],
    ['no space after the colon', complete.replaceAll(/^(\w+): /gm, '$1:')],
    ['many spaces', complete.replaceAll(/^(\w+): /gm, '$1:   ').replaceAll('\n', '  \n')],
    ['many spaces between references', complete.replace(/(References: )(\S+) (\S+)/, '$1  $2 \t $3 ')],
    ['a repeated reference', complete.replace(/(References: .*)/, `$1 ${base('1')}`)],
    ['a repeated signature', `${complete}Sig: ${signature('a-1')}\n`],
    ['a byte order mark', `\uFEFF${complete}`],
    ['another order', complete.trimEnd().split('\n').reverse().toSorted(signaturesAndColoursLast).join('\n')],
  ])('%s', (_, text) => {
    expect(text).not.toBe(complete);
    expect(print(text)).toBe(complete);
  });

  function signaturesAndColoursLast(a: string, b: string): number {
    const rank = (line: string) => (/^(Sig|System|Colour)/.test(line) ? complete.indexOf(line) + 1 : 0);
    return rank(a) - rank(b);
  }
});

describe('malformed lines that nobody needs are dropped', () => {
  test.each([
    ['FileHash', ''],
    ['FileHash', 'sha256:abc'],
    ['FileHash', `sha1:${'0'.repeat(40)}`],
    ['FileSize', ''],
    ['FileSize', '-1'],
    ['FileSize', '0'],
    ['FileSize', '1e3'],
    ['FileSize', '9007199254740992'],
    ['Deriver', 'unknown-deriver'],
    ['Deriver', ''],
    ['Deriver', `/nix/store/${base('3')}.drv`],
    ['CA', ''],
    ['Sig', ''],
    ['Sig', 'a-1'],
    ['Sig', 'a-1:'],
    ['Sig', 'a-1:AAAA'],
    ['Sig', signature('a 1')],
    ['Sig', signature('')],
    ['Sig', signature('a-1').slice(0, -4)],
    ['Sig', `${signature('a-1')}AAAA`],
    ['Sig', signature('a-1').replace(/:./, ':*')],
  ])('%s: %s', (key, value) => {
    expect(print(withValue(key, value))).toBe(withLine(key, ''));
  });
});

describe('a needed field that is absent or malformed is an error', () => {
  test.each(['StorePath', 'URL', 'NarHash', 'NarSize'])('no %s', (key) => {
    expect(() => parse(withLine(key, ''))).toThrow(FormatError);
    expect(() => parse(withValue(key, ''))).toThrow(FormatError);
  });

  test.each([
    ['StorePath', base('1')],
    ['StorePath', `/gnu/store/${base('1')}`],
    ['StorePath', `/nix/store/${base('1')}/x`],
    ['URL', '../secret'],
    ['NarHash', hash('1')],
    ['NarHash', `sha256:${hash('1')}1`],
    ['NarHash', `sha1:${'0'.repeat(40)}`],
    ['NarSize', '0'],
    ['NarSize', '-1'],
    ['NarSize', '+1'],
    ['NarSize', '1.5'],
    ['NarSize', '1e3'],
    ['NarSize', '0x10'],
    ['NarSize', '1 2'],
    ['NarSize', '٣'],
    ['NarSize', 'NaN'],
    ['NarSize', '9007199254740992'],
    ['NarSize', '99999999999999999999999'],
    ['Compression', 'XZ'],
    ['Compression', 'brotli'],
    ['Compression', 'zst'],
    ['References', 'x'],
    ['References', `/nix/store/${base('1')}`],
    ['References', `${base('1')},${base('2')}`],
  ])('%s: %s', (key, value) => {
    expect(() => parse(withValue(key, value))).toThrow(FormatError);
  });

  test.each([
    ['a line without a colon', 'hello'],
    ['a line without a key', ': value'],
    ['a key with a space', 'My Key: value'],
    ['a key beyond ASCII', 'Größe: 1'],
    ['a NUL', 'Key: a\0b'],
    ['a CR within a line', 'Key: a\rSig: b'],
    ['an escape', 'Key: \x1b[2J'],
  ])('%s', (_, line) => {
    expect(() => parse(`${complete}${line}\n`)).toThrow(FormatError);
  });

  test.each([
    ['an empty text', ''],
    ['HTML', '<!DOCTYPE html>\n<html><body>Please log in: <a href="http://portal/">here</a></body></html>\n'],
    ['JSON', '{"error": "not found"}'],
    ['a NAR', '\r\0\0\0\0\0\0\0nix-archive-1\0\0\0'],
  ])('%s', (_, text) => {
    expect(() => parse(text)).toThrow(FormatError);
  });
});

describe('repeated fields mean what they mean to Nix', () => {
  test.each([
    ['StorePath', `/nix/store/${base('9')}`],
    ['URL', 'nar/other.nar'],
    ['Compression', 'zstd'],
    ['FileHash', `sha256:${hash('0').replace(/0$/, '1')}`],
    ['FileSize', '7'],
    ['NarHash', `sha256:${hash('0')}`],
    ['NarSize', '7'],
    ['Deriver', `${base('9')}.drv`],
  ])('the last %s counts', (key, value) => {
    expect(print(`${complete}${key}: ${value}\n`)).toBe(withValue(key, value));
  });

  test('References and CA stand once, unless the first was empty', () => {
    for (const key of ['References', 'CA']) {
      const line = complete.match(new RegExp(`^${key}: .*\n`, 'm'))?.[0] ?? '';
      expect(() => parse(complete + line)).toThrow(FormatError);
      expect(print(`${withValue(key, '')}${line}`)).toBe(complete);
    }
  });
});

test.each(compressions)('the compression %s is read', (compression) => {
  expect(parse(withValue('Compression', compression)).compression).toBe(compression);
});

test('no compression, or an empty one, is bzip2', () => {
  expect(parse(withLine('Compression', '')).compression).toBe('bzip2');
  expect(parse(withValue('Compression', '')).compression).toBe('bzip2');
});

test('References may be absent or empty, and are then printed with their space', () => {
  const without = withLine('References', 'References: \n');
  expect(print(without)).toBe(without);
  expect(print(withLine('References', ''))).toBe(without);
  expect(print(withLine('References', 'References:\n'))).toBe(without);
});

test.each(['base32', 'base16', 'sri'] as const)('NarHash and FileHash are read in %s', (encoding) => {
  const { narHash, fileHash } = parse(complete);
  const text = withValue('NarHash', formatHash(narHash, encoding)).replace(
    /FileHash: .*/,
    `FileHash: ${fileHash && formatHash(fileHash, encoding)}`,
  );
  expect(print(text)).toBe(complete);
});

describe('everything is bounded', () => {
  const padded = (length: number) => {
    const start = `${complete}Pad: `;
    return start + 'x'.repeat(length - Buffer.byteLength(start));
  };

  test('64 KiB are read, one byte more is not', () => {
    expect(parse(padded(maxNarinfoBytes)).extra).toHaveLength(4);
    expect(() => parse(padded(maxNarinfoBytes + 1))).toThrow(FormatError);
  });

  test('bytes count, not characters', () => {
    expect(() => parse(padded(maxNarinfoBytes).replace(/x$/, 'é'))).toThrow(FormatError);
  });

  test('1024 lines are read, one more is not', () => {
    const lines = complete.split('\n').length;
    expect(parse(complete + '\n'.repeat(1024 - lines)).narSize).toBe(200);
    expect(() => parse(complete + '\n'.repeat(1025 - lines))).toThrow(FormatError);
  });

  test('64 signatures are kept', () => {
    const lines = Array.from(
      { length: maxSignatures + 10 },
      (_, index) => `Sig: ${signature(`k-${index}`)}\n`,
    );
    const { signatures } = parse(withLine('Sig', '').replace(/Sig: .*\n/, () => lines.join('')));
    expect(signatures.map(({ keyName }) => keyName)).toEqual(
      lines.slice(0, maxSignatures).map((_, i) => `k-${i}`),
    );
  });
});

test.each([
  ['url', { url: 'nar/x.nar\nSig: forged' }],
  ['deriver', { deriver: 'x\r' }],
  ['ca', { ca: 'text:\0' }],
  ['extra', { extra: [['Key', 'a\nb']] as const }],
])('a value of %s that would break its line is not printed', (_, changed) => {
  expect(() => printNarinfo({ ...parse(complete), ...changed }, storeDir)).toThrow(FormatError);
});

describe('real Nix', () => {
  test('writes narinfos that come back byte for byte', () => {
    using nix = new RealNix();
    nix.run('nix-store', '--generate-binary-cache-key', 'theirs-1', 'secret', 'public');
    nix.run(
      'nix-instantiate',
      '-E',
      `derivation { name = "d"; system = "any"; builder = builtins.toFile "b" "\${builtins.toFile "c" "x"}"; }`,
    );
    nix.run('nix-store', '--add-fixed', 'sha1', nix.file('content', 'x'));
    for (const compression of ['none', 'xz', 'bzip2', 'zstd', 'br', 'gzip']) {
      const texts = nix.narinfos(`compression=${compression}&secret-key=secret`);
      expect(texts).toHaveLength(4);
      for (const text of texts) {
        expect(parse(text).compression).toBe(compression);
        expect(print(text)).toBe(text);
      }
    }
  });

  test('reads what we print', () => {
    using nix = new RealNix();
    nix.file('content/a', 'hello');
    nix.file('cache/nix-cache-info', 'StoreDir: /nix/store\n');
    const path = `/nix/store/${base('1')}`;
    nix.file('cache/x.nar', nix.run('nix-store', '--dump', 'content'));
    const narHash = nix.run('nix-hash', '--type', 'sha256', 'content').trim();
    const text = `StorePath: ${path}\r
URL: x.nar\r
Compression: none\r
NarHash: sha256:${narHash}\r
NarSize: ${Buffer.byteLength(nix.read('cache/x.nar'))}\r
References:\r
Deriver: unknown-deriver\r
\r
Colour: blue\r
Sig: nonsense`;
    const copy = (narinfo: string) => {
      nix.file(`cache/${'1'.repeat(32)}.narinfo`, narinfo);
      return nix.run('nix', 'copy', '--no-check-sigs', '--from', `file://${nix.directory}/cache`, path);
    };
    expect(() => copy(text)).toThrow();
    copy(print(text));
    expect(nix.pathInfo(path)?.references).toEqual([]);
  });
});
