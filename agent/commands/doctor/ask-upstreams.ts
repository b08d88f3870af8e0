import type { Config } from '../../config/schema.ts';
import { readNetrc, SourceMaker } from '../../parts/source-maker.ts';
import { SourceError } from '../../source/error.ts';
import { Resolver } from '../../source/resolver.ts';
import type { Source } from '../../source/source.ts';
import type { Upstream } from './upstreams.ts';

const patience = 10_000;

/** Asks each substituter as the agent does whether it is a cache for our store, for at most ten seconds. */
export async function askUpstreams(config: Config): Promise<Upstream[]> {
  // That the file cannot be read is another check's to say.
  const netrc = await readNetrc(config.netrcFile).catch(() => () => undefined);
  const sources = new SourceMaker(config, 'narrowcast-doctor', new Resolver(), netrc);
  return await Promise.all(
    config.substituters.map((one) => ask(sources.ofSubstituter(one), config.storeDir)),
  );
}

async function ask(source: Source, ours: string): Promise<Upstream> {
  const { id } = source;
  try {
    const { storeDir = ours } = await source.probe(AbortSignal.timeout(patience));
    return { id, trouble: storeDir === ours ? undefined : `${id} is a cache of ${storeDir}, not of ${ours}` };
  } catch (error) {
    const late = `${id} did not answer within ${patience / 1_000} s`;
    return { id, trouble: error instanceof SourceError ? error.message : late };
  } finally {
    await source.close();
  }
}
