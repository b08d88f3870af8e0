import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/schema.ts';
import type { SubstituterUrl } from '../config/substituters.ts';
import { NarrowcastError } from '../nix/error.ts';
import { DirectorySource } from '../source/directory-source.ts';
import { HttpSource, type HttpSourceOptions } from '../source/http-source.ts';
import { type Netrc, parseNetrc } from '../source/netrc.ts';
import type { Resolver } from '../source/resolver.ts';
import type { Source } from '../source/source.ts';
import type { Counters } from '../telemetry/counters.ts';
import { version } from '../version.ts';

const maxNetrcBytes = 1024 * 1024;

/** Makes sources, which all have the timeouts, the identity and the credentials of this agent. */
export class SourceMaker {
  readonly #config: Config;
  readonly #identity: Readonly<Record<string, string>>;
  readonly #resolver: Resolver;
  readonly #netrc: Netrc;
  readonly #counters: Counters | undefined;

  constructor(config: Config, instance: string, resolver: Resolver, netrc: Netrc, counters?: Counters) {
    this.#config = config;
    this.#identity = { via: `1.1 ${instance}`, 'user-agent': `narrowcast/${version}` };
    this.#resolver = resolver;
    this.#netrc = netrc;
    this.#counters = counters;
  }

  ofSubstituter({ url, priority }: SubstituterUrl): Source {
    if (url.protocol !== 'file:') return this.#http({ url, reach: 'upstream', configured: true, priority });
    return new DirectorySource({ dir: path.resolve(fileURLToPath(url)), priority, ...this.#common });
  }

  ofPeer(url: string, configured: boolean, heard: () => void, quiet: () => void): Source {
    return this.#http({ url: new URL(url), reach: 'lan', configured, heard, quiet });
  }

  #http(
    own: Pick<HttpSourceOptions, 'url' | 'reach' | 'configured' | 'priority' | 'heard' | 'quiet'>,
  ): Source {
    const shared = { identity: this.#identity, resolver: this.#resolver, netrc: this.#netrc };
    return new HttpSource({
      ...own,
      connectTimeout: this.#config.connectTimeout,
      ...shared,
      ...this.#common,
    });
  }

  get #common() {
    const { storeDir, lookupTimeout, stalledDownloadTimeout } = this.#config;
    const counters = this.#counters;
    return { storeDir, lookupTimeout, stalledTimeout: stalledDownloadTimeout, counters };
  }
}

/**
 * The credentials of a netrc file; none where no file is named.
 * @throws NarrowcastError `netrc-unreadable`
 */
export async function readNetrc(file: string | undefined): Promise<Netrc> {
  if (file === undefined) return () => undefined;
  try {
    const text = await readFile(file, 'utf8');
    if (text.length > maxNetrcBytes) throw new RangeError(`it is larger than ${maxNetrcBytes} bytes`);
    return parseNetrc(text);
  } catch (cause) {
    throw new NarrowcastError('netrc-unreadable', `The netrc-file ${file} cannot be read`, { cause });
  }
}
