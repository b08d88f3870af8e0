/**
 * `node keep-storing.ts DIR` stores NARs for ever, four at a time, taking up what a former process left, until it is killed. Says
 * `open` when it begins. Ends with code 3 when a partial file holds other bytes than were appended.
 */
import { DiskCache } from '../../../../agent/cache/disk-cache.ts';
import { collected, sample, storeDir } from './sample.ts';

const [dir = ''] = process.argv.slice(2);
const cache = await DiskCache.open({ dir, storeDir, maxSize: 4_000_000, maxAge: 0, minFree: 0 });
process.stdout.write('open\n');

async function storeOne(number: number): Promise<void> {
  const one = sample({ contents: Buffer.alloc(20_000 + (number % 50) * 1000, `contents ${number}`) });
  if ((await cache.narinfo(one.narinfo.storePath.hashPart)) !== undefined) return;
  const partial = await cache.partial(one.narHash);
  if (partial === undefined) process.exit(4);
  if (partial.meta === undefined) await partial.begin(one.meta);
  const there = await collected(partial.read(0));
  if (!there.equals(one.file.subarray(0, there.length))) process.exit(3);
  for (let at = there.length; at < one.file.length; at += 1500)
    await partial.append(one.file.subarray(at, at + 1500));
  await partial.commit(one.narinfo, { hash: one.fileHash, size: one.file.length });
  await partial.release();
}

async function storeForEver(first: number): Promise<void> {
  for (let number = first; ; number = (number + 4) % 400) await storeOne(number);
}

await Promise.all([0, 1, 2, 3].map(storeForEver));
