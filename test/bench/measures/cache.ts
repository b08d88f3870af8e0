import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { DiskCache } from '../../../agent/cache/disk-cache.ts';
import { narHashOf } from '../../../agent/nix/hash.ts';
import type { Narinfo } from '../../../agent/nix/narinfo.ts';
import { mustRun } from '../../e2e/harness/run-command.ts';
import { TemporaryDirectory } from '../../e2e/harness/temporary-directory.ts';
import { compiled } from '../compiled.ts';
import { fullCache } from '../material/full-cache.ts';
import { pathOf } from '../material/signed-cache.ts';
import { Relay } from '../relay.ts';
import type { Row } from '../report.ts';
import { inTurn } from '../rounds.ts';
import type { Measure } from './measure.ts';

const piece = randomBytes(256 * 1024);

/** The cache directory: storing and reading much, and starting on a full one. */
export const cache: Measure = {
  name: 'cache',
  async take({ short, rounds }) {
    const bytes = (short ? 64 : 1_024) * 2 ** 20;
    const paths = short ? 1_000 : 20_000;
    return {
      name: 'cache',
      method: `The cache directory without the relay around it: ${bytes / 2 ** 20} MiB stored durably, beside dd with fsync, and read again, beside cat. Then the start of a relay on a directory with ${paths.toLocaleString('en')} paths, and how long it takes to have read it all.`,
      rows: [...(await putAndGet(bytes, rounds)), ...(await startOn(paths, rounds))],
    };
  },
};

async function putAndGet(bytes: number, rounds: number): Promise<Row[]> {
  await using directory = await TemporaryDirectory.create('bench');
  const plain = join(directory.path, 'plain');
  const config = { storeDir: '/nix/store', maxSize: 0, maxAge: 0, minFree: 0 };
  const cache = await DiskCache.open({ ...config, dir: join(directory.path, 'cache') });
  const narinfo = await describe(bytes);
  const dd = ['dd', 'if=/dev/zero', `of=${plain}`, 'bs=256K', `count=${bytes / piece.length}`, 'conv=fsync'];
  const results = await inTurn(rounds, {
    put: () => rate(bytes, () => put(cache, narinfo)),
    dd: () => rate(bytes, () => mustRun(dd)),
    get: () => rate(bytes, () => get(cache, narinfo)),
    cat: () => rate(bytes, () => mustRun(['sh', '-c', 'cat "$0" > /dev/null', plain])),
  });
  await cache.close();
  const beside = (name: string, samples: number[]) => [{ name, samples }];
  return [
    {
      what: 'put',
      unit: 'MB/s',
      relay: results.map(({ put }) => put),
      beside: beside(
        'dd conv=fsync',
        results.map(({ dd }) => dd),
      ),
    },
    {
      what: 'get',
      unit: 'MB/s',
      relay: results.map(({ get }) => get),
      beside: beside(
        'cat',
        results.map(({ cat }) => cat),
      ),
    },
  ];
}

async function startOn(paths: number, rounds: number): Promise<Row[]> {
  const cacheDirectory = await fullCache(paths);
  const program = await compiled();
  const results = await inTurn(rounds, {
    full: async () => {
      await using relay = await Relay.start({ program, substituter: 'http://127.0.0.1:9', cacheDirectory });
      const { cache } = await relay.statsWhen(({ cache }) => cache.scan !== undefined);
      return { answered: relay.startedIn, scanned: cache.scan?.took ?? Number.NaN };
    },
  });
  return [
    {
      what: 'first answer on a full directory',
      unit: 'ms',
      relay: results.map(({ full }) => full.answered),
      beside: [],
      aim: { atMost: 500 },
    },
    { what: 'scan of it', unit: 'ms', relay: results.map(({ full }) => full.scanned), beside: [] },
  ];
}

async function rate(bytes: number, act: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await act();
  return bytes / 1_000 / (performance.now() - started);
}

async function put(cache: DiskCache, narinfo: Narinfo): Promise<void> {
  const { compression, fileSize = 0, narHash } = narinfo;
  const partial = await cache.partial(narHashOf(narHash));
  await partial?.begin({ sourceId: 'bench', url: narinfo.url, compression, fileSize });
  for (let at = 0; at < fileSize; at += piece.length) await partial?.append(piece);
  const stored = await partial?.commit(narinfo, { hash: narHash, size: fileSize });
  await partial?.release();
  if (!stored) throw new Error('The cache directory has not stored the NAR.');
}

async function get(cache: DiskCache, narinfo: Narinfo): Promise<void> {
  const stored = await cache.narinfo(narinfo.storePath.hashPart);
  const file = stored && (await cache.open(stored));
  let bytes = 0;
  for await (const chunk of file?.read(0) ?? []) bytes += chunk.length;
  await file?.close();
  if (bytes !== narinfo.fileSize) throw new Error(`The cache directory gave ${bytes} bytes.`);
}

/** The narinfo of so many bytes of the same piece again and again, not compressed. */
async function describe(bytes: number): Promise<Narinfo> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes; at += piece.length) hash.update(piece);
  const narHash = { algorithm: 'sha256', digest: hash.digest() } as const;
  const file = { fileHash: narHash, fileSize: bytes, narHash, narSize: bytes };
  return {
    ...file,
    storePath: pathOf('much'),
    url: 'nar/much.nar',
    compression: 'none',
    references: [],
    signatures: [],
    extra: [],
  };
}
