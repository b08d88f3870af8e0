import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { contentAddressHolds, withTrueContentAddress } from '../../../agent/nix/content-address.ts';
import { parseHash } from '../../../agent/nix/hash.ts';
import { type Narinfo, parseNarinfo } from '../../../agent/nix/narinfo.ts';
import { parseStoreBase, parseStorePath, type StorePath } from '../../../agent/nix/store-path.ts';
import { narinfo as narinfoArbitrary, storeDir, storePathName } from './arbitrary.ts';
import { RealNix } from './real-nix.ts';

const stranger = parseStoreBase(`${'1'.repeat(32)}-stranger`);

describe('what real Nix addressed', () => {
  let nix: RealNix;
  let narinfos: Narinfo[];

  beforeAll(() => {
    nix = new RealNix();
    const flat = nix.file('flat', 'flat contents');
    nix.file('tree/file', 'contents in a tree');
    for (const algorithm of ['md5', 'sha1', 'sha256', 'sha512']) {
      nix.run('nix-store', '--add-fixed', algorithm, flat);
      nix.run('nix-store', '--add-fixed', '--recursive', algorithm, 'tree');
    }
    const texts = 'with builtins; toFile "c" (concatStringsSep " " [ (toFile "a" "1") (toFile "b" "2") ])';
    const text = nix.run('nix-instantiate', '--eval', '--read-write-mode', '-E', texts).trim();
    addSelfReference(nix, parseStorePath(JSON.parse(text), storeDir));
    narinfos = nix.narinfos().map((narinfo) => parseNarinfo(narinfo, storeDir));
  });

  afterAll(() => nix[Symbol.dispose]());

  function addressed(ca: RegExp, references?: number, self = false): Narinfo {
    const found = narinfos.find(
      (narinfo) =>
        ca.test(narinfo.ca ?? '') &&
        narinfo.references.length === (references ?? narinfo.references.length) &&
        narinfo.references.some(({ base }) => base === narinfo.storePath.base) === self,
    );
    if (found === undefined) throw new Error(`Nix made no such path: ${ca} ${references} ${self}`);
    return found;
  }

  test.each([
    ['text', () => addressed(/^text:sha256:/, 0)],
    ['text with references', () => addressed(/^text:sha256:/, 2)],
    ['flat md5', () => addressed(/^fixed:md5:/)],
    ['flat sha1', () => addressed(/^fixed:sha1:/)],
    ['flat sha256', () => addressed(/^fixed:sha256:/)],
    ['flat sha512', () => addressed(/^fixed:sha512:/)],
    ['recursive md5', () => addressed(/^fixed:r:md5:/)],
    ['recursive sha1', () => addressed(/^fixed:r:sha1:/)],
    ['recursive sha256', () => addressed(/^fixed:r:sha256:/, 0)],
    ['recursive sha512', () => addressed(/^fixed:r:sha512:/)],
    ['recursive sha256 with a reference', () => addressed(/^fixed:r:sha256:/, 2)],
    [
      'recursive sha256 with references to another path and itself',
      () => addressed(/^fixed:r:sha256:/, 2, true),
    ],
  ])('%s: holds as it is, and with no difference', (_, find) => {
    const narinfo = find();
    const { storePath, references, ca = '' } = narinfo;
    expect(contentAddressHolds(narinfo, storeDir)).toBe(true);
    expect(contentAddressHolds({ ...narinfo, references: references.toReversed() }, storeDir)).toBe(true);
    expect(withTrueContentAddress(narinfo, storeDir)).toBe(narinfo);

    const [, digest = ''] = ca.match(/(\w+:\w+)$/) ?? [];
    const differences: Partial<Narinfo>[] = [
      { storePath: parseStoreBase(`${storePath.base}x`) },
      { storePath: parseStoreBase(`${stranger.hashPart}-${storePath.name}`) },
      { references: [...references, stranger] },
      { references: [...references, storePath].filter((path) => !references.includes(path)) },
      { ca: ca.replace(/.$/, (last) => (last === '0' ? '1' : '0')) },
      ...['text:', 'fixed:', 'fixed:r:', 'fixed:git:', '']
        .map((method) => ({ ca: method + digest }))
        .filter((difference) => difference.ca !== ca),
    ];
    for (const difference of differences) {
      const changed = { ...narinfo, ...difference };
      expect(contentAddressHolds(changed, storeDir), JSON.stringify(difference)).toBe(false);
      const { ca, ...rest } = changed;
      expect(withTrueContentAddress(changed, storeDir)).toEqual(rest);
    }
    expect(contentAddressHolds(narinfo, '/gnu/store')).toBe(false);
  });

  test('a hash in base16 holds as well', () => {
    const { narHash, ...narinfo } = addressed(/^fixed:r:sha256:/, 0);
    const ca = `fixed:r:sha256:${Buffer.from(narHash.digest).toString('hex')}`;
    expect(contentAddressHolds({ ...narinfo, narHash, ca }, storeDir)).toBe(true);
  });

  test('a tree by sha256 has its address as NarHash, unless it refers to itself', () => {
    const narHash = { algorithm: 'sha256', digest: new Uint8Array(32) } as const;
    expect(contentAddressHolds({ ...addressed(/^fixed:r:sha256:/, 0), narHash }, storeDir)).toBe(false);
    expect(contentAddressHolds({ ...addressed(/^fixed:r:sha256:/, 2, true), narHash }, storeDir)).toBe(true);
  });

  test('texts of any name', () => {
    const names = fc.sample(storePathName, 30);
    const list = names.map((name) => `(builtins.toFile "${name}" "contents")`).join(' ');
    const output = nix.run('nix-instantiate', '--eval', '--strict', '--json', '-E', `[${list}]`);
    const paths: string[] = JSON.parse(output);
    const digest = createHash('sha256').update('contents').digest('hex');
    for (const path of paths) {
      const storePath = parseStorePath(path, storeDir);
      const narinfo = { ...addressed(/^text:/, 0), storePath, ca: `text:sha256:${digest}` };
      expect(contentAddressHolds(narinfo, storeDir)).toBe(true);
    }
    expect(paths).toHaveLength(30);
  });
});

test('without a CA nothing holds, and nothing changes', () => {
  fc.assert(
    fc.property(narinfoArbitrary, ({ ca, ...narinfo }) => {
      expect(contentAddressHolds(narinfo, storeDir)).toBe(false);
      expect(withTrueContentAddress(narinfo, storeDir)).toBe(narinfo);
    }),
  );
});

test.each([
  'text',
  'text:',
  'text:sha256',
  'text:sha256:',
  `text:sha256-${'A'.repeat(43)}=`,
  `text:${'0'.repeat(52)}`,
  `text:r:sha256:${'0'.repeat(52)}`,
  `text:sha1:${'0'.repeat(32)}`,
  'fixed:r:',
  `fixed:r:r:sha256:${'0'.repeat(52)}`,
  `fixed:blake3:${'0'.repeat(52)}`,
  `fixed:sha256:${'e'.repeat(52)}`,
  `source:sha256:${'0'.repeat(52)}`,
])('%s is no address that holds', (ca) => {
  fc.assert(
    fc.property(narinfoArbitrary, (narinfo) => {
      expect(contentAddressHolds({ ...narinfo, ca, references: [] }, storeDir)).toBe(false);
    }),
    { numRuns: 5 },
  );
});

test('an address of the wrong form is refused although its arithmetic fits', () => {
  const fits = (type: string, hex: string, ca: string) => {
    const folded = Buffer.alloc(20);
    const digest = createHash('sha256').update(`${type}:sha256:${hex}:/nix/store:name`).digest();
    for (const [index, byte] of digest.entries()) folded[index % 20] = (folded[index % 20] ?? 0) ^ byte;
    const storePath = parseStoreBase(`${toBase32(folded)}-name`);
    const narHash = parseHash(hex.padEnd(64, '0'), 'sha256');
    const [narinfo] = fc.sample(narinfoArbitrary, 1);
    return narinfo && contentAddressHolds({ ...narinfo, storePath, narHash, references: [], ca }, storeDir);
  };
  const long = '12'.repeat(32);
  const short = '12'.repeat(20);
  expect(fits('text', long, `text:sha256:${long}`)).toBe(true);
  expect(fits('source', long, `fixed:r:sha256:${long}`)).toBe(true);
  expect(fits('text', short, `text:sha1:${short}`)).toBe(false);
  expect(fits('text', long, `text:sha256-${Buffer.from(long, 'hex').toString('base64')}`)).toBe(false);
});

/** Puts into the store a path that refers to itself and to another, and has Nix address both by their content. */
function addSelfReference(nix: RealNix, other: StorePath): void {
  const self = `/nix/store/${stranger.hashPart}-self`;
  nix.run('nix', 'copy', '--all', '--to', `file://${nix.directory}/cache`);
  nix.file('self/file', `${self} needs /nix/store/${other.base}`);
  const nar = nix.file('cache/self.nar', nix.run('nix-store', '--dump', 'self'));
  const hash = nix.run('nix-hash', '--type', 'sha256', '--flat', '--base32', nar).trim();
  nix.file(
    `cache/${stranger.hashPart}.narinfo`,
    `StorePath: ${self}
URL: self.nar
Compression: none
NarHash: sha256:${hash}
NarSize: ${Buffer.byteLength(nix.read('cache/self.nar'))}
References: ${stranger.hashPart}-self ${other.base}
`,
  );
  nix.run('nix', 'copy', '--no-check-sigs', '--from', `file://${nix.directory}/cache`, self);
  nix.run('nix', 'store', 'make-content-addressed', self);
}
