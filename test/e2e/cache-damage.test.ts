import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Fixture, type FixturePath, hashPartOf, largeClosure, pathNamed } from '../fixtures/closure.ts';
import { narrowcast } from './harness/narrowcast.ts';
import { Nginx } from './harness/nginx.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { digestOfBase32, field } from './harness/spoiled-narinfo.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await largeClosure();
});

/**
 * What a client of the relay gets for a path: the whole right NAR, or the file that the upstream has of it; 404; or a connection that is
 * cut before the end.
 */
async function read(
  relay: RelayProcess,
  { path, url, narHash, narSize, fileSize }: FixturePath,
): Promise<'right' | 'wrong' | 'cut' | '404'> {
  const narinfo = await fetch(`${relay.url}/${hashPartOf(path)}.narinfo`);
  if (narinfo.status === 404) return '404';
  const text = await narinfo.text();
  const asStored = field(text, 'Compression') !== 'none';
  const nar = await fetch(`${relay.url}/${field(text, 'URL')}`);
  if (nar.status === 404) return '404';
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of nar.body ?? []) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  } catch {
    return bytes < (asStored ? fileSize : narSize) ? 'cut' : 'wrong';
  }
  const digest = asStored
    ? createHash('sha256')
        .update(await readFile(join(fixture.dir, url)))
        .digest()
    : digestOfBase32(narHash.slice('sha256:'.length));
  return hash.digest().equals(digest) ? 'right' : 'wrong';
}

/** Turns a bit over in the middle of a path's stored NAR. Returns the file's name. */
async function damage(cache: string, { path }: FixturePath): Promise<string> {
  const url = field(await readFile(join(cache, `${hashPartOf(path)}.narinfo`), 'utf8'), 'URL');
  const bytes = await readFile(join(cache, url));
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await writeFile(join(cache, url), bytes);
  return url.slice('nar/'.length);
}

/** In every compression; some are small enough to be held back until they are verified, the last two are not. */
const names = [
  'lowest-leaf-8',
  'middle-leaf-3',
  'stored-gzipped',
  'stored-brotlied',
  'stored-as-is',
  'upper-leaf-0',
  'top-leaf-0',
];

describe('a bit flipped in a stored NAR', () => {
  let directory: TemporaryDirectory;
  let nginx: Nginx;
  let cache: string;
  let config: Readonly<Record<string, unknown>>;
  let damaged: string[];

  beforeEach(async () => {
    directory = await TemporaryDirectory.create('damage');
    nginx = await Nginx.start(fixture.dir);
    cache = join(directory.path, 'cache');
    config = {
      substituters: [nginx.url],
      'trusted-public-keys': [fixture.publicKey],
      cache: { dir: cache },
    };
    const targets = names.map((name) => pathNamed(fixture, name));
    const { code, stderr } = await narrowcast(['fetch', ...targets.map(({ path }) => path)], config);
    expect(code, stderr).toBe(0);
    damaged = await Promise.all(targets.map((target) => damage(cache, target)));
  }, 60_000);

  afterEach(async () => {
    await nginx[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  /** All that was damaged, and its narinfos, is out of the way, and counted. */
  async function expectQuarantined(relay: RelayProcess): Promise<void> {
    expect(await readdir(join(cache, 'quarantine'))).toEqual(expect.arrayContaining(damaged));
    const stats = await (await fetch(`${relay.url}/stats`)).json();
    expect(stats).toMatchObject({ cache: { quarantine: { nars: damaged.length } } });
  }

  test('never reaches a reader', {
    timeout: 60_000,
  }, async () => {
    await using relay = await RelayProcess.start(config);
    for (const name of names)
      expect([name, await read(relay, pathNamed(fixture, name))]).toEqual([name, 'right']);
    await expectQuarantined(relay);
    await relay.stop();
    const { code, stdout, stderr } = await narrowcast(['scrub'], config);
    expect([code, stderr], stdout).toEqual([0, '']);
  });

  test('offline ends in 404', { timeout: 60_000 }, async () => {
    await nginx[Symbol.asyncDispose]();
    await using relay = await RelayProcess.start(config);
    for (const name of names)
      expect([name, await read(relay, pathNamed(fixture, name))]).toEqual([name, '404']);
    await expectQuarantined(relay);
  });
});
