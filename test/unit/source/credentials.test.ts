import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MonitoredSource } from '../../../agent/source/monitored-source.ts';
import { parseNetrc } from '../../../agent/source/netrc.ts';
import { freePort } from '../../e2e/harness/ports.ts';
import { collected } from '../cache/support/sample.ts';
import { sample, storeDir } from './support/cache-files.ts';
import { sourceErrorOf } from './support/fault-of.ts';
import { httpSource } from './support/http-source.ts';
import { localhostCertificate } from './support/localhost-certificate.ts';
import { logLines } from './support/log-lines.ts';
import {
  type Reply,
  reset,
  ScriptedServer,
  type ScriptedServerOptions,
  text,
} from './support/scripted-server.ts';

setDefaultCACertificates([...getCACertificates('default'), localhostCertificate.cert]);

const never = new AbortController().signal;
const { hashPart } = sample().narinfo.storePath;
const nar = 'nar/some.nar';
const everywhere = parseNetrc('default login laptop password s3cret');
const basic = `Basic ${Buffer.from('laptop:s3cret').toString('base64')}`;

async function server(reply: Reply, options?: ScriptedServerOptions): Promise<ScriptedServer> {
  const started = await ScriptedServer.start(reply, options);
  onTestFinished(() => started.stop());
  return started;
}

function sent({ requests }: ScriptedServer): (string | undefined)[] {
  return requests.map(({ headers }) => headers.authorization);
}

describe('credentials', () => {
  test('go with every request to the host that the operator named', async () => {
    const cache = await server(text(404));
    const source = httpSource(cache.url, {
      netrc: parseNetrc('machine 127.0.0.1 login laptop password s3cret'),
    });
    await source.narinfo(hashPart, never);
    await source.openFile('log/some', never);
    expect(sent(cache)).toEqual([basic, basic]);
  });

  test('go to a host by its IPv6 address', async () => {
    const cache = await server(text(404), { host: '::1' });
    const source = httpSource(cache.url, { netrc: parseNetrc('machine ::1 login laptop password s3cret') });
    await source.narinfo(hashPart, never);
    expect(sent(cache)).toEqual([basic]);
  });

  test('go nowhere when netrc-file names another host only', async () => {
    const cache = await server(text(404));
    const source = httpSource(cache.url, {
      netrc: parseNetrc('machine localhost login laptop password s3cret'),
    });
    await source.narinfo(hashPart, never);
    expect(sent(cache)).toEqual([undefined]);
  });

  test('never go to a cache that nobody named, not even those for everybody', async () => {
    const cache = await server(text(404));
    const source = httpSource(cache.url, { netrc: everywhere, configured: false, reach: 'lan' });
    await source.narinfo(hashPart, never);
    expect(sent(cache)).toEqual([undefined]);
  });

  test('do not follow a redirect to another host, not even those for everybody', async () => {
    const cdn = await server(text(200, 'NAR'));
    const cache = await server(text(302, '', { location: `http://localhost:${cdn.port}/` }));
    const source = httpSource(cache.url, { netrc: everywhere });
    await collected((await source.openNar(nar, 0, never)).chunks);
    expect(sent(cache)).toEqual([basic]);
    expect(sent(cdn)).toEqual([undefined]);
  });

  test('never leave an encrypted connection for an open one', async () => {
    const open = await server(text(200, 'NAR'));
    const cache = await server(text(302, '', { location: `http://localhost:${open.port}/` }), {
      tls: localhostCertificate,
    });
    const error = await sourceErrorOf(httpSource(cache.url, { netrc: everywhere }).openNar(nar, 0, never));
    expect(error).toMatchObject({
      fault: 'captive',
      message: expect.stringContaining('giving up encryption'),
    });
    expect(sent(cache)).toEqual([basic]);
    expect(open.requests).toHaveLength(0);
  });

  test('are in no name, error or log', async () => {
    const { log, lines } = await logLines();
    const page = await server(text(200, 'a page'));
    const answers: Reply[] = [
      text(401),
      text(500),
      text(200, 'a page'),
      reset,
      text(302),
      text(302, '', { location: page.url.href }),
    ];
    const urls = [new URL(`http://laptop:s3cret@127.0.0.1:${await freePort()}/?token=s3cret#s3cret`)];
    for (const reply of answers) {
      const cache = await server(reply);
      const url = cache.url;
      url.username = 'laptop';
      url.password = 's3cret';
      url.search = '?token=s3cret';
      urls.push(url);
    }
    for (const url of urls) {
      const source = httpSource(url, { netrc: everywhere });
      const monitored = new MonitoredSource(source, { storeDir, log, online: () => true });
      expect(source.id).not.toMatch(/s3cret|laptop/);
      for (const ask of [() => source.probe(never), () => source.openNar(nar, 0, never)]) {
        const error: unknown = await ask().catch((error: unknown) => error);
        log.info({ err: error }, 'failed');
        for (let cause = error; cause instanceof Error; cause = cause.cause)
          expect(`${cause.message} ${cause.stack}`).not.toContain('s3cret');
      }
      await monitored.check();
      await monitored.close();
    }
    expect(lines.length).toBeGreaterThan(urls.length);
    for (const secret of ['s3cret', basic.slice('Basic '.length)])
      expect(lines.join('')).not.toContain(secret);
  });
});

describe('a netrc file', () => {
  const cases: readonly (readonly [text: string, host: string, found: string | undefined])[] = [
    ['machine a login me password x', 'a', 'me x'],
    ['machine a\n  login me\n\tpassword x\n', 'a', 'me x'],
    ['machine a login me password x', 'b', undefined],
    ['machine a password x', 'a', ' x'],
    ['machine a login me account here password x', 'a', 'me x'],
    ['machine a login me password x\nmachine b login you password y', 'b', 'you y'],
    ['machine a login me password x\nmachine a login you password y', 'a', 'me x'],
    ['default login me password x', 'a', 'me x'],
    ['machine a login me password x default login you password y', 'a', 'me x'],
    ['machine a login me password x default login you password y', 'b', 'you y'],
    ['machine a login me password machine', 'a', 'me machine'],
    ['machine a login me password "two words"', 'a', 'me two words'],
    ['machine a login me password "a \\"quote\\" \\\\"', 'a', 'me a "quote" \\'],
    ['machine a login me password "#x"', 'a', 'me #x'],
    ['# machine a login me password x\nmachine a login you password y', 'a', 'you y'],
    ['machine a login me password x # machine b login you password y', 'b', undefined],
    ['macdef init\nmachine a login me password x\n\nmachine a login you password y', 'a', 'you y'],
    ['machine a login me colour red password x', 'a', 'me x'],
    ['machine a login', 'a', ' '],
    ['machine', 'a', undefined],
    ['', 'a', undefined],
  ];
  test.for(cases)('%j for %s', ([text, host, found]) => {
    const credentials = parseNetrc(text)(host);
    expect(credentials && `${credentials.login} ${credentials.password}`).toBe(found);
  });
});
