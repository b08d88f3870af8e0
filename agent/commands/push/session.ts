import { readFile } from 'node:fs/promises';
import type { Config } from '../../config/schema.ts';
import { Throttle } from '../../http/throttle.ts';
import { FormatError, NarrowcastError } from '../../nix/error.ts';
import { parseSecretKey, type SecretKey } from '../../nix/secret-key.ts';
import { type LocalStore, NixStore } from '../../push/local-store.ts';
import type { PushOptions } from '../../push/push.ts';
import { Spool } from '../../push/spool.ts';
import { UploadServer } from '../../push/upload-server.ts';
import { UsageError } from '../usage-error.ts';
import { credentialsFor } from './credentials.ts';
import { jobsOf, type PushWishes, packingOf, rateOf, spoolOf } from './wishes.ts';

/** A kernel takes megabytes before it lets anybody see that a slow link has moved: with this the patience is multiplied. */
const patience = 4;

/** All that pushes to one server need. */
export interface Session extends AsyncDisposable {
  readonly store: LocalStore;
  readonly server: UploadServer;
  readonly options: Omit<PushOptions, 'signal'>;
}

/**
 * Makes ready to push to a server.
 * @throws UsageError; NarrowcastError for a file of the options that cannot be read
 */
export async function openSession(url: URL, wishes: PushWishes, config: Config): Promise<Session> {
  const { storeDir, trustedPublicKeys: trusted, connectTimeout, stalledDownloadTimeout } = config;
  const [packing, jobs, throttle] = [packingOf(wishes), jobsOf(wishes), new Throttle(rateOf(wishes))];
  const key = wishes.keyFile === undefined ? undefined : await readKey(wishes.keyFile);
  const credentials = await credentialsFor(url, wishes.netrcFile ?? config.netrcFile);
  const store = new NixStore(storeDir);
  const spool = await Spool.open(spoolOf(wishes), url.host);
  const server = new UploadServer({
    url,
    credentials,
    connectTimeout,
    stalledTimeout: patience * stalledDownloadTimeout,
    connections: 2 * jobs,
  });
  const gone = new AbortController().signal;
  const signing = { storeDir, trusted, key };
  const pace = (bytes: AsyncIterable<Uint8Array>) => throttle.pace('', bytes, gone);
  return {
    store,
    server,
    options: { store, server, spool, packing, signing, jobs, pace },
    [Symbol.asyncDispose]: () => server.close(),
  };
}

async function readKey(file: string): Promise<SecretKey> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NarrowcastError('key-file', `The key file ${file} cannot be read: ${reason}`, { cause });
  });
  try {
    return parseSecretKey(text);
  } catch (error) {
    throw error instanceof FormatError ? new UsageError(`${file} is no secret key: ${error.message}`) : error;
  }
}
