/** `node hold-cache.ts DIR` opens the cache, says so, and stays until it is killed. */
import { DiskCache } from '../../../../agent/cache/disk-cache.ts';
import { storeDir } from './sample.ts';

const [dir = ''] = process.argv.slice(2);
await DiskCache.open({ dir, storeDir, maxSize: 0, maxAge: 0, minFree: 0 });
process.stdout.write('open\n');
setInterval(() => {}, 60_000);
