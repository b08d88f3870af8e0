#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { cacheHome } from './config/cache-home.ts';

// libuv makes its pool at first use. Lookups of names block its threads for seconds when a network is down, and
// decoding and file reads must go on meanwhile.
process.env['UV_THREADPOOL_SIZE'] ??= '16';

// What Node makes of the sources is kept for the next start, which takes little more than half the time then. Never beneath /tmp, where
// others could leave it something to run; NODE_COMPILE_CACHE goes first.
enableCompileCache(join(cacheHome(process.env), 'narrowcast-compiled'));

const { run } = await import('./run.ts');
process.exit(await run(process.argv.slice(2)));
