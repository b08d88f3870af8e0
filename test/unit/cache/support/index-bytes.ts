import { createHash } from 'node:crypto';
import { isNarFile, type NarFile } from '../../../../agent/cache/layout.ts';
import { NarIndex } from '../../../../agent/cache/nar-index.ts';
import { toBase32 } from '../../../../agent/nix/base32.ts';
import { isNarHash } from '../../../../agent/nix/hash.ts';
import { isHashPart } from '../../../../agent/nix/store-path.ts';

/*
 * Prints how many bytes an entry of the index takes: node --expose-gc index-bytes.ts ENTRIES REFERENCES. In a process of its own, where
 * nothing else comes and goes.
 */
const [entries = 0, references = 0] = process.argv.slice(2).map(Number);

function hash(text: string): string {
  // A copy: what is a part of another string keeps the whole of it.
  return Buffer.from(toBase32(createHash('sha256').update(text).digest())).toString('latin1');
}

function path(n: number): string {
  return Buffer.from(hash(`path ${n}`).slice(0, 32)).toString('latin1');
}

function fileOf(n: number): NarFile {
  const name = `${hash(`file ${n}`)}.nar.xz`;
  if (!isNarFile(name)) throw new Error(`${name} is no name`);
  return name;
}

function inUse(): number {
  // Not all that nobody needs goes at once: compiled code waits for some collections.
  for (let n = 0; n < 10; n += 1) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function fill(index: NarIndex, count: number): void {
  for (let n = 0; n < count; n += 1) {
    const [narHash, own] = [hash(`NAR ${n}`), path(n)];
    const others = Array.from({ length: references }, (_, back) => path(Math.max(0, n - back ** 3)));
    if (!isNarHash(narHash) || !isHashPart(own)) throw new Error(`${narHash} or ${own} is no hash`);
    const nar = { file: fileOf(n), size: 1_000 + n, narHash, lastUse: 1.7e12 + n };
    index.put(nar, own, { references: others.filter(isHashPart), derivation: n });
  }
}

// The first time, the code itself is compiled.
fill(new NarIndex(), 2_000);
const before = inUse();
const index = new NarIndex();
// What is put once more and what came and went takes no more than what is there.
for (let round = 0; round < 4; round += 1) {
  fill(index, entries);
  for (let n = 0; n < entries; n += 2) index.drop(fileOf(n));
}
fill(index, entries);
const bytes = inUse() - before;
if (index.paths !== entries) throw new Error(`${index.paths} of ${entries} paths are in the index`);
process.stdout.write(`${(bytes / entries).toFixed(1)}\n`);
