import { onTestFinished } from 'vitest';
import { HttpSource, type HttpSourceOptions } from '../../../../agent/source/http-source.ts';
import { storeDir } from './cache-files.ts';

/** A source with the configuration's defaults, closed after the test. */
export function httpSource(url: URL, options: Partial<HttpSourceOptions> = {}): HttpSource {
  const source = new HttpSource({
    url,
    reach: 'upstream',
    configured: true,
    storeDir,
    connectTimeout: 5_000,
    lookupTimeout: 20_000,
    stalledTimeout: 30_000,
    identity: { via: '1.1 narrowcast-test', 'user-agent': 'narrowcast/test' },
    ...options,
  });
  onTestFinished(() => source.close());
  return source;
}
