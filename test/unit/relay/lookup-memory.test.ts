import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, onTestFinished, test } from 'vitest';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { toBase64 } from '../../../agent/nix/base64.ts';
import { maxNarinfoBytes, type Narinfo, parseNarinfo, printNarinfo } from '../../../agent/nix/narinfo.ts';
import { fingerprint, parsePublicKey } from '../../../agent/nix/signature.ts';
import { type HashPart, parseStoreBase } from '../../../agent/nix/store-path.ts';
import { Lookup } from '../../../agent/relay/lookup.ts';
import { Trust } from '../../../agent/relay/trust.ts';
import { SourcePool } from '../../../agent/source/source-pool.ts';
import { sample, storeDir } from '../source/support/cache-files.ts';
import { httpSource } from '../source/support/http-source.ts';
import { logLines } from '../source/support/log-lines.ts';
import { turn } from '../source/support/manual-clock.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

// node:crypto signs in a fraction of the time that the agent's own signing takes.
const pair = generateKeyPairSync('ed25519');
const publicKey = parsePublicKey(
  `k-1:${toBase64(Buffer.from(pair.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'))}`,
);
const template = sample().narinfo;

/** A narinfo whose signature is true, as text of 64 KiB. */
type Write = (hashPart: HashPart) => string;

const withJunk: Write = (hashPart) => {
  const text = printNarinfo(signed({ ...template, storePath: parseStoreBase(`${hashPart}-x`) }), storeDir);
  return `${text}Sig: ${'x'.repeat(maxNarinfoBytes - text.length - 6)}\n`;
};

const withFields: Write = (hashPart) => {
  const extra = Array.from({ length: 850 }, (_, i) => [`Field${i}`, 'x'.repeat(60)] as const);
  return printNarinfo(signed({ ...template, storePath: parseStoreBase(`${hashPart}-x`), extra }), storeDir);
};

const references = Array.from({ length: 1_800 }, () => parseStoreBase(`${toBase32(randomBytes(20))}-a`));
const withReferences: Write = (hashPart) => {
  return printNarinfo(
    signed({ ...template, storePath: parseStoreBase(`${hashPart}-x`), references }),
    storeDir,
  );
};

function signed(narinfo: Narinfo): Narinfo {
  const bytes = sign(null, Buffer.from(fingerprint(narinfo, storeDir)), pair.privateKey);
  return { ...narinfo, signatures: [{ keyName: 'k-1', bytes: new Uint8Array(bytes) }] };
}

/** Looks so many paths up at a source that writes them so; the heap's growth in MiB, and what is remembered. */
async function remember(count: number, write: Write) {
  const { log } = await logLines();
  const pool = new SourcePool({ storeDir, log, online: () => true });
  onTestFinished(() => pool.close());
  const source = httpSource(new URL('http://127.0.0.1'));
  source.narinfo = async (hashPart) => parseNarinfo(Buffer.from(write(hashPart)).toString(), storeDir);
  pool.add(source);
  const lookup = new Lookup({ pool, log, trust: new Trust(storeDir, new Map([['k-1', publicKey]])) });
  const paths = Array.from({ length: count }, () => parseStoreBase(`${toBase32(randomBytes(20))}-x`));

  const heap = () => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  for (const { hashPart } of paths) expect(await lookup.find(hashPart)).toBeDefined();
  await turn();
  const grownMiB = (heap() - before) / 2 ** 20;
  return { grownMiB, remembered: paths.filter(({ hashPart }) => lookup.remembered(hashPart)).length };
}

describe('I8: what a lookup remembers is bounded', () => {
  test('of the text that a narinfo was read from, nothing stays but the narinfo', async () => {
    const { grownMiB, remembered } = await remember(1_000, withJunk);
    expect(remembered).toBe(1_000);
    expect(grownMiB).toBeLessThan(16);
  });

  test.for([
    ['fields', 450, withFields],
    ['references', 200, withReferences],
  ] as const)('narinfos full of %s take 64 MiB, however many there are', async ([_, count, write]) => {
    const { grownMiB, remembered } = await remember(count, write);
    expect(remembered).toBeGreaterThan(count / 2);
    expect(remembered).toBeLessThan(count);
    expect(grownMiB).toBeLessThan(64);
  });
});
