import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromBase32 } from '../../../agent/nix/base32.ts';
import { parseCacheInfo } from '../../../agent/nix/cache-info.ts';
import { withTrueContentAddress } from '../../../agent/nix/content-address.ts';
import { FormatError } from '../../../agent/nix/error.ts';
import { parseHash } from '../../../agent/nix/hash.ts';
import { maxNarinfoBytes, type Narinfo, parseNarinfo, printNarinfo } from '../../../agent/nix/narinfo.ts';
import { generateKeyPair, parseSecretKey } from '../../../agent/nix/secret-key.ts';
import { parsePublicKey, parseSignature, trustedSigner } from '../../../agent/nix/signature.ts';
import { parseStoreBase, parseStorePath } from '../../../agent/nix/store-path.ts';
import { narinfo as narinfoArbitrary, storeDir } from './arbitrary.ts';

const publicKey = parsePublicKey(generateKeyPair('trusted-1').public);
const keys = new Map([[publicKey.name, publicKey]]);

/** All that the relay does with a narinfo that a stranger sent. */
function readNarinfo(text: string): Narinfo {
  const narinfo = parseNarinfo(text, storeDir);
  trustedSigner(narinfo, storeDir, keys);
  printNarinfo(withTrueContentAddress(narinfo, storeDir), storeDir);
  return narinfo;
}

const readers: [name: string, read: (text: string) => unknown][] = [
  ['narinfo', readNarinfo],
  ['cache-info', parseCacheInfo],
  ['hash', parseHash],
  ['bare hash', (text) => parseHash(text, 'sha256')],
  ['base32', fromBase32],
  ['store path', (text) => parseStorePath(text, storeDir)],
  ['store path after the store', (text) => parseStorePath(`${storeDir}/${text}`, storeDir)],
  ['store path base', parseStoreBase],
  ['signature', parseSignature],
  ['public key', parsePublicKey],
  ['secret key', parseSecretKey],
];

/** Reads the text; anything thrown must be a FormatError with a short printable message. */
function readOrRefuse(read: (text: string) => unknown, text: string): void {
  try {
    read(text);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    expect(error.message.length).toBeLessThan(700);
    expect(error.message).not.toMatch(/\p{Cc}/u);
    expect(error.code).toMatch(/^[a-z0-9-]+$/);
  }
}

const randomText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('utf8')),
);

describe.each(readers)('%s', (_, read) => {
  test('any text is read or refused', () => {
    fc.assert(fc.property(randomText, (text) => readOrRefuse(read, text)));
  });
});

interface Mutation {
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.nat({ max: 60 }),
  text: fc.oneof(
    fc.string({ unit: 'binary', maxLength: 5 }),
    fc.constantFrom(
      '',
      '\n',
      '\r\n',
      '\0',
      ': ',
      ' ',
      '..',
      '/',
      '%2e',
      'Sig: a:',
      'NarSize: ',
      'References: ',
    ),
  ),
});

function mutate(text: string, mutations: readonly Mutation[]): string {
  return mutations.reduce((mutated, { at, length, text }) => {
    const start = Math.floor(at * mutated.length);
    return mutated.slice(0, start) + text + mutated.slice(start + length);
  }, text);
}

test('a narinfo with anything cut out and put in is read or refused, and what was read comes back', () => {
  fc.assert(
    fc.property(
      narinfoArbitrary,
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      (narinfo, mutations) => {
        readOrRefuse(
          (text) => {
            const read = readNarinfo(text);
            expect(parseNarinfo(printNarinfo(read, storeDir), storeDir)).toEqual(read);
          },
          mutate(printNarinfo(narinfo, storeDir), mutations),
        );
      },
    ),
    { numRuns: 1000 },
  );
});

const path = `${'1'.repeat(32)}-name`;
const needed = `StorePath: /nix/store/${path}
URL: nar/x.nar
NarHash: sha256:${'1'.repeat(52)}
NarSize: 1
`;
const repeat = (line: string, start = '') =>
  start + line.repeat(Math.floor((maxNarinfoBytes - start.length) / line.length));
const signature = (index: number) => {
  const bytes = randomBytes(64);
  bytes[63] = index % 16; // below the group's order, so that it is not refused at a glance
  return `Sig: trusted-1:${bytes.toString('base64')}\n`;
};
const distinctPath = (index: number) => `${index.toString().padStart(32, '0')}-${'n'.repeat(10)} `;
const many = (line: (index: number) => string, start: string) => {
  let text = start;
  for (let index = 0; text.length + line(index).length < maxNarinfoBytes; index++) text += line(index);
  return text;
};

const worst: [name: string, text: string][] = [
  ['newlines', repeat('\n')],
  ['CRLF', repeat('\r\n')],
  ['CRs', repeat('\r')],
  ['spaces', repeat(' ')],
  ['spaces and tabs in one line', repeat(' \t', `${needed}References: `)],
  ['spaces and a newline', repeat('                                                 \n')],
  ['colons', repeat(':')],
  ['short fields', repeat('a:b\n', needed)],
  ['a long key', repeat('a')],
  ['a long line', repeat('a', `${needed}Key: `)],
  ['a long line of four-byte characters', repeat('💾', `${needed}Key: `).slice(0, 40_000)],
  ['lone surrogates', repeat('\ud800').slice(0, 20_000)],
  ['one reference, often', repeat(`${path} `, `${needed}References: `)],
  ['many references', many(distinctPath, `${needed}References: `)],
  [
    'many references and an address',
    many(distinctPath, `${needed}CA: text:sha256:${'1'.repeat(52)}\nReferences: `),
  ],
  ['many References', repeat('References: \n', needed)],
  ['malformed signatures', many((index) => `Sig: ${index}\n`, needed)],
  ['signatures by a trusted name', many(signature, needed)],
  ['dots in a URL', repeat('../', 'URL: ')],
  ['percent signs in a URL', repeat('%', 'URL: ')],
  ['encoded dots in a URL', repeat('%2e%2e%2f', `${needed}URL: `)],
  ['zeros in a NarHash', repeat('0', `${needed}NarHash: sha256:`)],
  ['base64 in a NarHash', repeat('A', `${needed}NarHash: sha256-`)],
  ['padding in a NarHash', repeat('=', `${needed}NarHash: sha256-`)],
  ['dashes in a NarHash', repeat('-', `${needed}NarHash: `)],
  ['digits in a NarSize', repeat('9', `${needed}NarSize: `)],
  ['a long name', repeat('a', `${needed}StorePath: /nix/store/${path}`)],
  ['dots in a name', repeat('.', `StorePath: /nix/store/${'1'.repeat(32)}-`)],
  ['base64 in a key', repeat('A', 'name:')],
  ['padding in a key', repeat('=', 'name:')],
  ['random bytes', randomBytes(maxNarinfoBytes).toString('latin1')],
];

describe.each(readers)('%s: 64 KiB of the worst are read or refused within 50 ms', (_, read) => {
  test.each(worst)('%s', (_, text) => {
    expect(fastestOf(5, () => readOrRefuse(read, text))).toBeLessThan(50);
  });
});

/** Milliseconds of the fastest run: other processes may slow down a run, but not every one. */
function fastestOf(runs: number, action: () => void): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs && fastest >= 50; run++) {
    const started = performance.now();
    action();
    fastest = Math.min(fastest, performance.now() - started);
  }
  return fastest;
}
