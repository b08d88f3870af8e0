import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { DirectorySource } from '../../../agent/source/directory-source.ts';
import { collected } from '../cache/support/sample.ts';
import { cacheFiles, sample, storeDir, temporaryDirectory, writeFiles } from './support/cache-files.ts';
import { faultOf } from './support/fault-of.ts';
import { ManualClock } from './support/manual-clock.ts';

const never = new AbortController().signal;
const large = sample({ contents: Buffer.alloc(1_000_000, 'x') });
const { hashPart } = large.narinfo.storePath;
const { url } = large.narinfo;

async function scene() {
  const clock = new ManualClock();
  const root = await temporaryDirectory();
  const dir = path.join(root, 'cache');
  await writeFiles(dir, cacheFiles([large]));
  const source = new DirectorySource({ dir, storeDir, lookupTimeout: 20_000, stalledTimeout: 30_000, clock });
  return { clock, root, dir, source };
}

describe('a disk', () => {
  test('that is not there: unreachable, and back when it is', async () => {
    const { dir, source } = await scene();
    await rename(dir, `${dir}.away`);
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('unreachable');
    expect(await faultOf(source.probe(never))).toBe('unreachable');
    expect(await faultOf(source.openNar(url, 0, never))).toBe('unreachable');
    await rename(`${dir}.away`, dir);
    expect(await source.narinfo(hashPart, never)).toEqual(large.narinfo);
  });

  test('with a file in its place: unreachable', async () => {
    const { dir, source } = await scene();
    await rm(dir, { recursive: true });
    await writeFile(dir, '');
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('unreachable');
  });

  test('that is no cache: wrong when probed, and without paths', async () => {
    const { dir, source } = await scene();
    await rm(path.join(dir, 'nix-cache-info'));
    expect(await faultOf(source.probe(never))).toBe('wrong');
  });

  test('that does not answer: silent', async () => {
    const { clock, source } = await scene();
    const narinfo = faultOf(source.narinfo(hashPart, never));
    await clock.pass(20_000);
    expect(await narinfo).toBe('silent');
    const nar = faultOf(source.openNar(url, 0, never));
    await clock.pass(30_000);
    expect(await nar).toBe('silent');

    const { chunks } = await source.openNar(url, 0, never);
    const reading = chunks[Symbol.asyncIterator]();
    await reading.next();
    const next = faultOf(reading.next());
    await clock.pass(30_000);
    expect(await next).toBe('silent');
    expect(clock.pending).toBe(0);
  });
});

describe('a file', () => {
  test('that becomes shorter while it is read: broken, after its bytes', async () => {
    const { dir, source } = await scene();
    const { chunks } = await source.openNar(url, 0, never);
    const reading = chunks[Symbol.asyncIterator]();
    await reading.next();
    await truncate(path.join(dir, url), 300_000);
    await reading.next();
    expect(await faultOf(reading.next())).toBe('broken');
  });

  test('that becomes longer: as long as it was', async () => {
    const { dir, source } = await scene();
    const { chunks, size = 0 } = await source.openNar(url, 10, never);
    await truncate(path.join(dir, url), 2_000_000);
    expect(await collected(chunks)).toHaveLength(size - 10);
  });

  test('that is removed before it is read: broken', async () => {
    const { dir, source } = await scene();
    const { chunks } = await source.openNar(url, 0, never);
    await rm(path.join(dir, url));
    expect(await faultOf(collected(chunks))).toBe('broken');
  });

  test.for(['a directory', 'a pipe'])('whose place %s has taken: wrong', async (what) => {
    const { dir, source } = await scene();
    const file = path.join(dir, url);
    await rm(file);
    if (what === 'a pipe') execFileSync('mkfifo', [file]);
    else await mkdir(file);
    expect(await faultOf(source.openNar(url, 0, never))).toBe('wrong');
  });

  test('beneath a file: gone', async () => {
    const { source } = await scene();
    expect(await faultOf(source.openNar('nix-cache-info/x.nar', 0, never))).toBe('gone');
  });

  test('that is larger than a narinfo can be is not read: wrong', async () => {
    const { dir, source } = await scene();
    await truncate(path.join(dir, `${hashPart}.narinfo`), 2 ** 40);
    await truncate(path.join(dir, 'nix-cache-info'), 2 ** 40);
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('wrong');
    expect(await faultOf(source.probe(never))).toBe('wrong');
  });

  test('whose name nobody can read or write: a SourceError', async () => {
    const { dir, source } = await scene();
    await mkdir(path.join(dir, 'log'));
    for (const name of ['log/%', 'log/%ff', 'log/%00', `log/${'x'.repeat(300)}`])
      expect(await faultOf(source.openFile(name, never))).toBe('broken');
  });

  test('with a query in its URL is the file without it', async () => {
    const { source } = await scene();
    const { chunks } = await source.openNar(`${url}?hash=${'0'.repeat(32)}`, 0, never);
    expect(await collected(chunks)).toEqual(large.file);
  });
});

describe('a link out of the directory', () => {
  test('may lead to a NAR, whose bytes will be verified', async () => {
    const { root, dir, source } = await scene();
    await rename(path.join(dir, 'nar'), path.join(root, 'nar'));
    await symlink(path.join(root, 'nar'), path.join(dir, 'nar'));
    const { chunks } = await source.openNar(url, 0, never);
    expect(await collected(chunks)).toEqual(large.file);
  });

  test('leads to nothing else', async () => {
    const { root, dir, source } = await scene();
    await writeFile(path.join(root, 'netrc'), 'secret');
    await mkdir(path.join(dir, 'log'));
    await symlink(path.join(root, 'netrc'), path.join(dir, 'log/a'));
    await symlink(root, path.join(dir, 'debuginfo'));
    expect(await source.openFile('log/a', never)).toBeUndefined();
    expect(await source.openFile('debuginfo/netrc', never)).toBeUndefined();
    expect(await source.openFile('../netrc', never)).toBeUndefined();
    await writeFile(path.join(dir, 'log/b'), 'built');
    await symlink('b', path.join(dir, 'log/c'));
    const body = await source.openFile('log/c', never);
    expect(String(await collected(body?.chunks ?? (async function* () {})()))).toBe('built');
  });
});
