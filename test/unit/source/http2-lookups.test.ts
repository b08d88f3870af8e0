import { once } from 'node:events';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MonitoredSource } from '../../../agent/source/monitored-source.ts';
import { portOf } from '../../e2e/harness/ports.ts';
import { narinfoText, type Sample, sample, storeDir } from './support/cache-files.ts';
import { httpSource } from './support/http-source.ts';
import { localhostCertificate } from './support/localhost-certificate.ts';
import { logLines } from './support/log-lines.ts';

setDefaultCACertificates([...getCACertificates('default'), localhostCertificate.cert]);

const never = new AbortController().signal;

/** A cache that speaks HTTP/2 and HTTP/1.1 over TLS. */
class Http2Cache {
  readonly sessions: ServerHttp2Session[] = [];
  /** The versions of HTTP of the requests for NARs. */
  readonly narsOver: string[] = [];
  silent = false;
  /** Each connection is ended after so many answers. */
  answersEach = Number.POSITIVE_INFINITY;
  readonly #server: Http2SecureServer;
  readonly #texts: ReadonlyMap<string, string>;

  private constructor(samples: readonly Sample[]) {
    this.#texts = new Map(
      samples.map((each) => [`/${each.narinfo.storePath.hashPart}.narinfo`, narinfoText(each)]),
    );
    this.#server = createSecureServer({ ...localhostCertificate, allowHTTP1: true });
    this.#server.on('session', (session) => {
      this.sessions.push(session);
      session.on('error', () => {});
    });
    const answers = new Map<unknown, number>();
    this.#server.on('request', (request, response) => {
      if (request.url.startsWith('/nar/')) this.narsOver.push(request.httpVersion);
      if (this.silent) return;
      const { session } = request.stream ?? {};
      const count = (answers.get(session) ?? 0) + 1;
      answers.set(session, count);
      if (count === this.answersEach) session?.close();
      response.end(request.url === '/nix-cache-info' ? `StoreDir: ${storeDir}\n` : this.#text(request.url));
    });
  }

  static async start(samples: readonly Sample[]): Promise<Http2Cache> {
    const cache = new Http2Cache(samples);
    await once(cache.#server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => {
      for (const session of cache.sessions) session.destroy();
      cache.#server.close();
    });
    return cache;
  }

  get url(): URL {
    return new URL(`https://localhost:${portOf(this.#server)}`);
  }

  #text(url: string): string {
    return this.#texts.get(url) ?? 'a NAR';
  }
}

describe('lookups of a source that speaks HTTP/2', () => {
  test('share a connection, and NARs have one of their own over HTTP/1.1', async () => {
    const samples = Array.from({ length: 100 }, () => sample());
    const cache = await Http2Cache.start(samples);
    const source = httpSource(cache.url);
    await source.probe(never);
    const found = await Promise.all(
      samples.map(({ narinfo }) => source.narinfo(narinfo.storePath.hashPart, never)),
    );
    expect(found.map((narinfo) => narinfo?.storePath.base)).toEqual(
      samples.map(({ narinfo }) => narinfo.storePath.base),
    );
    expect(cache.sessions).toHaveLength(1);

    const body = await source.openNar('nar/x.nar', 0, never);
    for await (const chunk of body.chunks) expect(Buffer.from(chunk).toString()).toBe('a NAR');
    expect(cache.narsOver).toEqual(['1.1']);
  });

  test('do not wait on a connection that has died', async () => {
    const cache = await Http2Cache.start([]);
    const source = httpSource(cache.url, { lookupTimeout: 200 });
    await source.probe(never);
    cache.silent = true;
    await expect(source.probe(never)).rejects.toMatchObject({ fault: 'silent' });
    cache.silent = false;
    const [dead] = cache.sessions;
    await source.probe(never);
    expect(cache.sessions).toHaveLength(2);
    expect(dead?.destroyed).toBe(true);
  });

  test('are asked again when the server ends connections of its own accord', async () => {
    const samples = Array.from({ length: 200 }, () => sample());
    const cache = await Http2Cache.start(samples);
    cache.answersEach = 20;
    const source = httpSource(cache.url);
    const { log } = await logLines();
    const monitored = new MonitoredSource(source, { storeDir, log, online: () => true });
    await monitored.check();
    const found = await Promise.all(
      samples.map(({ narinfo }) => monitored.narinfo(narinfo.storePath.hashPart, never)),
    );
    expect(found.filter((narinfo) => narinfo === undefined)).toEqual([]);
    expect(cache.sessions.length).toBeGreaterThan(1);
    expect(monitored.health).toBe('up');
  });
});
