import type { LookupAddress } from 'node:dns';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Resolver } from '../../../agent/source/resolver.ts';
import { systemClock } from '../../../agent/telemetry/clock.ts';
import { freePort } from '../../e2e/harness/ports.ts';
import { collected } from '../cache/support/sample.ts';
import { narinfoPath, narinfoText, sample } from './support/cache-files.ts';
import { faultOf, sourceErrorOf } from './support/fault-of.ts';
import { httpSource } from './support/http-source.ts';
import { byPath, type Reply, ScriptedServer, text } from './support/scripted-server.ts';

const never = new AbortController().signal;
const path = sample();
const { hashPart } = path.narinfo.storePath;
const file = narinfoPath(path);
const nar = 'nar/some.nar';

/** A server on loopback; redirects between such servers are between hosts when one is called `localhost`. */
async function server(reply: Reply): Promise<ScriptedServer> {
  const started = await ScriptedServer.start(reply);
  onTestFinished(() => started.stop());
  return started;
}

function to(location: string, status = 302): Reply {
  return text(status, '', { location });
}

/** The same server, as another host. */
function byName({ port }: ScriptedServer, name = 'localhost'): string {
  return `http://${name}:${port}`;
}

describe('a redirect within the host', () => {
  test.for([301, 302, 303, 307, 308])('is followed for anything: %i', async (status) => {
    const cache = await server(
      byPath({ [file]: to(`/moved${file}`, status), [`/moved${file}`]: text(200, narinfoText(path)) }),
    );
    expect(await httpSource(cache.url).narinfo(hashPart, never)).toEqual(path.narinfo);
  });

  test('may be relative, and leads from where it was met', async () => {
    const cache = await server(
      byPath({ [`/a/${nar}`]: to('../there'), '/a/there': to('end'), '/a/end': text(200, 'NAR') }),
    );
    const body = await httpSource(new URL('/a', cache.url)).openNar(nar, 0, never);
    expect(String(await collected(body.chunks))).toBe('NAR');
  });

  test('carries the range', async () => {
    const cache = await server(
      byPath({
        [`/${nar}`]: to('/there'),
        '/there': ({ headers }, response) => {
          response.writeHead(206, { 'content-range': 'bytes 2-3/4' }).end(headers.range);
        },
      }),
    );
    const body = await httpSource(cache.url).openNar(nar, 2, never);
    await expect(collected(body.chunks)).rejects.toThrow('more than its 4 bytes');
    expect(cache.requests.map(({ headers }) => headers.range)).toEqual(['bytes=2-', 'bytes=2-']);
  });

  test('may be the third, but not the fourth', async () => {
    const cache = await server(
      byPath({ '/1': to('/2'), '/2': to('/3'), '/3': to('/4'), '/4': text(200, 'NAR') }),
    );
    const source = httpSource(cache.url);
    expect((await source.openNar('1', 0, never)).size).toBe(3);
    cache.reply = to(`/${nar}`);
    const before = cache.requests.length;
    expect(await faultOf(source.openNar(nar, 0, never))).toBe('captive');
    expect(cache.requests.length - before).toBe(4);
  });

  test.for(['', 'http://[', 'ftp://localhost/', 'file:///etc/passwd', 'javascript:alert(1)'])(
    'that leads to no web address is refused: %s',
    async (location) => {
      const cache = await server(to(location));
      // An empty one is the same page again.
      expect(await faultOf(httpSource(cache.url).narinfo(hashPart, never))).toBe('captive');
    },
  );

  test('without a Location is refused', async () => {
    const cache = await server(text(302));
    expect(await faultOf(httpSource(cache.url).narinfo(hashPart, never))).toBe('captive');
  });

  test('frees its connection, whatever comes with it', async () => {
    const page = Buffer.alloc(1_000_000, '.');
    const cache = await server((request, response) => {
      if (request.url === `/${nar}`) response.writeHead(302, { location: '/there' }).end(page);
      else response.end('NAR');
    });
    const source = httpSource(cache.url);
    for (let i = 0; i < 40; i++) await collected((await source.openNar(nar, 0, never)).chunks);
    expect(cache.count('/there')).toBe(40);
  });
});

describe('a redirect to another host', () => {
  test('is a captive portal for a narinfo and nix-cache-info, and is not followed', async () => {
    const portal = await server(text(200, narinfoText(path)));
    const cache = await server((request, response) =>
      to(`${byName(portal)}${request.url}`)(request, response),
    );
    const source = httpSource(cache.url);
    expect(await faultOf(source.narinfo(hashPart, never))).toBe('captive');
    expect(await faultOf(source.probe(never))).toBe('captive');
    expect(portal.requests).toHaveLength(0);
  });

  test('is followed for the NARs of an upstream, back as well', async () => {
    const cache = await server(text(404));
    const cdn = await server(to(`${cache.url.origin}/there`));
    cache.reply = byPath({ [`/${nar}`]: to(`${byName(cdn)}/x?token=1`), '/there': text(200, 'NAR') });
    const body = await httpSource(cache.url).openNar(nar, 0, never);
    expect(String(await collected(body.chunks))).toBe('NAR');
    expect(cdn.asked).toEqual(['/x?token=1']);
  });

  test.for([true, false])('is refused from a cache on the LAN, configured: %s', async (configured) => {
    const victim = await server(text(200, 'NAR'));
    const cache = await server(to(`${byName(victim)}/${nar}`));
    const source = httpSource(cache.url, { reach: 'lan', configured });
    expect(await faultOf(source.openNar(nar, 0, never))).toBe('captive');
    expect(victim.requests).toHaveLength(0);
  });

  test('that is away says nothing of the source: broken, not unreachable', async () => {
    const cache = await server(to(`http://localhost:${await freePort()}/`));
    const error = await sourceErrorOf(httpSource(cache.url).openNar(nar, 0, never));
    expect(error.fault).toBe('broken');
    expect(error.message).toContain('localhost');
  });
});

describe('a redirect from the internet', () => {
  // A source counts as public when one of its addresses is; its server here stands on the first, loopback.
  const inside: LookupAddress = { address: '127.0.0.1', family: 4 };
  const outside: LookupAddress = { address: '203.0.113.1', family: 4 };
  const names: Record<string, LookupAddress[]> = {
    'cache.example': [inside, outside],
    'router.example': [inside],
    'router6.example': [
      { address: '::1', family: 6 },
      { address: 'fd00::1', family: 6 },
    ],
  };
  const resolver = new Resolver(systemClock, async (host) => names[host] ?? []);

  test.for([
    '127.0.0.1',
    'router.example',
    'router6.example',
    '2130706433',
    '0x7f.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[fe80::1]',
    '192.168.0.1',
    '10.0.0.1',
    '169.254.169.254',
  ])('never leads into the LAN or this machine: %s', async (host) => {
    const victim = await server(text(200, 'secret'));
    const cache = await server(to(`http://${host}:${victim.port}/`));
    const source = httpSource(new URL(byName(cache, 'cache.example')), { resolver });
    expect(await faultOf(source.openNar(nar, 0, never))).toBe('captive');
    expect(cache.requests).toHaveLength(1);
    expect(victim.requests).toHaveLength(0);
  });

  test('does not take the way over a second redirect either', async () => {
    const victim = await server(text(200, 'secret'));
    const cache = await server(
      byPath({ [`/${nar}`]: to('/there'), '/there': to(`http://router.example:${victim.port}/`) }),
    );
    const source = httpSource(new URL(byName(cache, 'cache.example')), { resolver });
    expect(await faultOf(source.openNar(nar, 0, never))).toBe('captive');
    expect(victim.requests).toHaveLength(0);
  });

  test('from a source in the LAN, the LAN is where it may lead', async () => {
    const store = await server(text(200, 'NAR'));
    const cache = await server(to(`http://router.example:${store.port}/`));
    const body = await httpSource(cache.url, { resolver }).openNar(nar, 0, never);
    expect(String(await collected(body.chunks))).toBe('NAR');
  });
});
