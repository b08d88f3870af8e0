import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DiskCache } from '../cache/disk-cache.ts';
import type { Config } from '../config/schema.ts';
import { UploadFace } from '../http/upload.ts';
import type { Counters } from '../telemetry/counters.ts';
import type { Logger } from '../telemetry/log.ts';
import { Tokens } from '../upload/tokens.ts';

/** Answers uploaders on the LAN face, and tells whether it did; undefined where nobody may upload. */
export function uploads(
  { storeDir, upload, trustedPublicKeys, stalledDownloadTimeout }: Config,
  cache: DiskCache,
  counters: Counters,
  log: Logger,
): ((request: IncomingMessage, response: ServerResponse) => Promise<boolean>) | undefined {
  if (upload.tokensFile === undefined) return undefined;
  const face = new UploadFace({
    storeDir,
    cache,
    tokens: new Tokens(upload.tokensFile, log),
    trustedKeys: trustedPublicKeys,
    rootHistory: upload.rootHistory,
    stalled: 2 * stalledDownloadTimeout,
    counters,
    log,
  });
  return (request, response) => face.handle(request, response);
}
