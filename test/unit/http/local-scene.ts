import { onTestFinished } from 'vitest';
import type { NarCache } from '../../../agent/cache/nar-cache.ts';
import { LocalFace } from '../../../agent/http/local.ts';
import { FaceServer } from '../../../agent/http/server.ts';
import { LookAhead } from '../../../agent/relay/look-ahead.ts';
import { OtherFiles } from '../../../agent/relay/other-files.ts';
import { Transfers } from '../../../agent/relay/transfers.ts';
import { type LookupScene, lookupScene } from '../relay/support/lookup-scene.ts';
import { storeDir } from '../source/support/cache-files.ts';

/** A local face on loopback, as a whole agent would serve it. */
export interface LocalScene extends LookupScene {
  readonly port: number;
}

export interface LocalSceneOptions {
  readonly instance?: string;
  readonly cache?: NarCache;
}

/** Serves until the test has ended. Lookups go by the scene's clock, transfers by the real one. */
export async function localScene({
  instance = 'narrowcast-me',
  ...options
}: LocalSceneOptions = {}): Promise<LocalScene> {
  const scene = await lookupScene(options);
  const { lookup, pool, log, clock } = scene;
  const face = new LocalFace({
    storeDir,
    lookup,
    lookAhead: new LookAhead({
      find: (hashPart) => lookup.find(hashPart),
      inStore: async () => false,
      clock,
    }),
    transfers: new Transfers({
      pool,
      log: log.log,
      patience: 1_000,
      widen: (known) => lookup.widen(known),
      ...options,
    }),
    otherFiles: new OtherFiles(pool, log.log),
    instance,
    asStored: true,
    cache: options.cache,
  });
  const server = new FaceServer((request, response) => face.handle(request, response), log.log);
  const port = await server.listen(['127.0.0.1'], 0);
  onTestFinished(() => server.stop());
  return { ...scene, port };
}
