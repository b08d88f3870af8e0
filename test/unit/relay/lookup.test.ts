import { describe, expect, test } from 'vitest';
import type { KnownPath } from '../../../agent/relay/known-path.ts';
import { sha256 } from '../cache/support/sample.ts';
import {
  narinfoPath,
  type Sample,
  sample,
  signed,
  signedSample,
  testKey,
} from '../source/support/cache-files.ts';
import { httpSource } from '../source/support/http-source.ts';
import { turn } from '../source/support/manual-clock.ts';
import { hang, text } from '../source/support/scripted-server.ts';
import { addressed } from './support/addressed.ts';
import { gated, having, type LookupScene, lookupScene, type SceneSource } from './support/lookup-scene.ts';

const hashPartOf = ({ narinfo }: Pick<Sample, 'narinfo'>) => narinfo.storePath.hashPart;
const offeredBy = (known: KnownPath | undefined) =>
  known?.offers.map(({ source }) => source.id.split(/[/.]/)[2]);

/** The same NAR as another cache has it: compressed otherwise, not signed. */
function unsigned(original: Sample): Sample {
  const narinfo = { ...original.narinfo, url: 'nar/other.nar', signatures: [] };
  return { ...original, narinfo };
}

/** The same path with another NAR. */
function rebuilt(original: Sample): Sample {
  return {
    ...original,
    narinfo: { ...original.narinfo, narHash: sha256(Buffer.from('rebuilt')), signatures: [] },
  };
}

async function known(scene: LookupScene, path: Sample): Promise<KnownPath> {
  const found = await scene.lookup.find(hashPartOf(path));
  if (found === undefined) throw new Error('the path was not found');
  return found;
}

describe('a path', () => {
  test('that one source has is found, and the others are named for what they are', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.upstream('without', having(), 1);
    await scene.upstream('with', having(path), 2);
    const found = await known(scene, path);
    expect(found.narinfo).toEqual(path.narinfo);
    expect(found.trustedBy).toBe('cache.example-1');
    expect(offeredBy(found)).toEqual(['with']);
  });

  test('that nobody has is not', async () => {
    const scene = await lookupScene();
    await scene.peer('pi', having());
    await scene.upstream('cache', having());
    expect(await scene.lookup.find(hashPartOf(sample()))).toBeUndefined();
  });

  test('is asked for once, however many ask', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { server } = await scene.upstream('cache', having(path));
    const found = await Promise.all(Array.from({ length: 25 }, () => known(scene, path)));
    expect(new Set(found).size).toBe(1);
    expect(await known(scene, path)).toBe(found[0]);
    expect(server.requests).toHaveLength(1);
  });

  test('is not found, at once, where no source is usable', async () => {
    const scene = await lookupScene();
    const { server } = await scene.upstream('cache', having());
    scene.network.online = false;
    expect(await scene.lookup.find(hashPartOf(sample()))).toBeUndefined();
    expect(server.requests).toHaveLength(0);
  });

  test('whose lookup fails in a way nobody thought of is not found, which is logged as an error', async () => {
    const scene = await lookupScene();
    const broken = httpSource(new URL('http://broken.example'));
    broken.narinfo = () => Promise.reject(new TypeError('a bug'));
    scene.pool.add(broken);
    expect(await scene.lookup.find(hashPartOf(sample()))).toBeUndefined();
    expect(scene.log.messages('error')).toEqual(['lookup failed']);
  });
});

describe('I3: only what is true is believed', () => {
  test.for<[string, (path: Sample, scene: LookupScene) => Sample]>([
    ['without a signature', unsigned],
    [
      'signed by an unknown key',
      ({ narinfo, ...rest }) => ({ ...rest, narinfo: signed(narinfo, testKey('other-1')) }),
    ],
    [
      'signed by another key of the same name',
      ({ narinfo, ...rest }) => ({ ...rest, narinfo: signed(narinfo, testKey()) }),
    ],
    [
      'signed, then changed',
      ({ narinfo, ...rest }) => ({ ...rest, narinfo: { ...narinfo, narSize: narinfo.narSize + 1 } }),
    ],
  ])('not a narinfo %s: the next valid one wins', async ([_, spoil]) => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { server } = await scene.upstream('bad', having(spoil(path, scene)), 1);
    await scene.upstream('good', having(path), 2);
    const found = await known(scene, path);
    expect(found.narinfo.signatures).toEqual(path.narinfo.signatures);
    expect(server.requests).toHaveLength(1);
  });

  test('not an unsigned NarHash that the path’s address does not vouch for, unless a substituter says so', async () => {
    const scene = await lookupScene();
    const narinfo = addressed('text', sha256(Buffer.from('text')));
    const path = { ...sample(), narinfo };
    const { server } = await scene.peer('stranger', having(path));
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    expect(server.requests).toHaveLength(1);
    await scene.upstream('cache', having(path));
    expect((await known(scene, path)).trustedBy).toBe('content address');
  });

  test('not a narinfo of another path', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const other = signedSample(scene.key);
    const { server } = await scene.upstream('cache', having(other));
    const files = server.reply;
    server.reply = (request, response) => {
      if (request.url === narinfoPath(path)) request.url = narinfoPath(other);
      return files(request, response);
    };
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    expect(server.count(narinfoPath(other))).toBe(1);
  });
});

describe('I3: a NAR that only Nix can decode, which nobody can verify before Nix has it,', () => {
  const opaque = (path: Sample): Sample => ({ ...path, narinfo: { ...path.narinfo, compression: 'bzip2' } });

  test('is not taken from a cache that nobody named, signed or not: others are asked', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.peer('stranger', having(opaque(path)));
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    await scene.upstream('cache', having(path));
    expect(offeredBy(await known(scene, path))).toEqual(['cache']);
  });

  test('is taken from a substituter', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.upstream('cache', having(opaque(path)));
    expect((await known(scene, path)).offers[0]?.narinfo.compression).toBe('bzip2');
  });
});

describe('the order of questions', () => {
  test('is the LAN first: what it has costs the upstream no question', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { server } = await scene.upstream('cache', having(path));
    await scene.peer('pi', having(path));
    expect(offeredBy(await known(scene, path))).toEqual(['pi']);
    expect(server.requests).toHaveLength(0);
  });

  test('is all of the LAN together', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const slow = await scene.peer('slow', hang);
    await scene.peer('quick', having(path));
    const found = known(scene, path);
    await slow.server.wasAsked(narinfoPath(path));
    expect(offeredBy(await found)).toEqual(['quick']);
  });

  test('does not wait for the head start when the LAN has said no', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.peer('pi', having());
    await scene.peer('desk', having());
    await scene.upstream('cache', having(path));
    // The clock stands still all the time.
    expect(offeredBy(await known(scene, path))).toEqual(['cache']);
  });

  test('gives a source that nobody knows 150 ms', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const near = await scene.peer('pi', hang);
    const far = await scene.upstream('cache', having(path));
    const found = known(scene, path);
    await near.server.wasAsked(narinfoPath(path));
    await scene.clock.pass(149);
    expect(far.server.requests).toHaveLength(0);
    await scene.clock.pass(1);
    expect(offeredBy(await found)).toEqual(['cache']);
  });

  test('gives a source twice its usual time, the slowest of the LAN for all', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const near = await scene.peer('pi', hang);
    const nearer = await scene.peer('desk', hang);
    near.source.latency.add(20);
    nearer.source.latency.add(2);
    await scene.upstream('cache', having(path));
    const found = known(scene, path);
    await near.server.wasAsked(narinfoPath(path));
    await scene.clock.passTimer(40);
    expect(offeredBy(await found)).toEqual(['cache']);
  });

  test('gives no time to a source that is known not to have the path', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const slow = await scene.peer('slow', having());
    await scene.lookup.find(hashPartOf(path));
    slow.source.latency.add(10_000);
    const near = await scene.peer('pi', hang);
    near.source.latency.add(10);
    await scene.upstream('cache', having(path));
    const found = known(scene, path);
    await near.server.wasAsked(narinfoPath(path));
    await scene.clock.passTimer(20);
    expect(offeredBy(await found)).toEqual(['cache']);
  });

  test('goes on to the next upstream after such a time as well, and who comes too late is let go', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const first = await scene.upstream('first', hang, 1);
    await scene.upstream('second', having(path), 2);
    const third = await scene.upstream('third', having(path), 3);
    const found = known(scene, path);
    await first.server.wasAsked(narinfoPath(path));
    await scene.clock.passTimer(150);
    expect(offeredBy(await found)).toEqual(['second']);
    await first.server.until(() => first.server.sockets.size === 0);
    expect(third.server.requests).toHaveLength(0);
    expect(first.source.health).toBe('unknown');
    expect(third.server.requests).toHaveLength(0);
    expect(scene.clock.pending).toBe(0);
  });

  test('goes on at once when an upstream has said no', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.upstream('first', having(), 1);
    await scene.upstream('second', text(410), 2);
    await scene.upstream('third', having(path), 3);
    expect(offeredBy(await known(scene, path))).toEqual(['third']);
  });

  test('waits for a silent source before it says no, once only', async () => {
    const scene = await lookupScene();
    const path = sample();
    const silent = await scene.upstream('silent', hang, 1);
    await scene.upstream('other', having(), 2);
    let over = false;
    const first = scene.lookup.find(hashPartOf(path)).finally(() => {
      over = true;
    });
    await silent.server.wasAsked(narinfoPath(path));
    await scene.clock.pass(19_999);
    expect(over).toBe(false);
    await scene.clock.pass(1);
    expect(await first).toBeUndefined();
    expect(await scene.lookup.find(hashPartOf(sample()))).toBeUndefined();
    expect(silent.server.asked.filter((url) => url.endsWith('.narinfo'))).toHaveLength(1);
  });

  test('leaves out who has said no within the minute', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { server } = await scene.upstream('without', having(), 1);
    const second = await scene.upstream('with', having(), 2);
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    expect(server.requests).toHaveLength(1);
    await scene.clock.pass(60_001);
    second.server.reply = having(path);
    expect(offeredBy(await known(scene, path))).toEqual(['with']);
    expect(server.requests).toHaveLength(2);
  });

  test('asks everybody again on another network', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { server } = await scene.upstream('cache', having());
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    server.reply = having(path);
    await scene.pool.networkChanged();
    expect(offeredBy(await known(scene, path))).toEqual(['cache']);
  });

  test('asks a new neighbour at once, though the others have said no', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.upstream('cache', having());
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    await scene.peer('pi', having(path));
    expect(offeredBy(await known(scene, path))).toEqual(['pi']);
  });
});

describe('I4: a LAN cache needs no key for bytes', () => {
  test('its narinfo counts as an offer once a trusted one names the same NAR', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.peer('pi', having(unsigned(path)));
    await scene.upstream('cache', having(path));
    const found = await known(scene, path);
    expect(offeredBy(found)?.sort()).toEqual(['cache', 'pi']);
    const pi = found.offers.find(({ source }) => source.id.includes('pi'));
    expect(pi?.narinfo).toEqual({ ...path.narinfo, url: 'nar/other.nar' });
    expect(found.narinfo.url).toBe(path.narinfo.url);
  });

  test('it may come later than the trusted one', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const late = gated(having(unsigned(path)));
    const { server } = await scene.peer('pi', late.reply);
    await scene.upstream('cache', having(path));
    const finding = known(scene, path);
    await server.wasAsked(narinfoPath(path));
    await scene.clock.passTimer(150);
    const found = await finding;
    expect(offeredBy(found)).toEqual(['cache']);
    const heard = scene.clock.looked();
    late.open();
    await heard;
    await turn();
    expect(offeredBy(found)).toEqual(['cache', 'pi']);
  });

  test('it may come when the path has been known for long', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const cache = await scene.upstream('cache', having(path));
    const found = await known(scene, path);
    await scene.pool.remove(cache.source.id);
    await scene.peer('pi', having(unsigned(path)));
    expect(await known(scene, path)).toBe(found);
    expect(offeredBy(found)).toContain('pi');
  });

  test('one that names another NAR is no offer', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.peer('pi', having(rebuilt(path)));
    await scene.peer('desk', having({ ...path, narinfo: { ...path.narinfo, narSize: 1, signatures: [] } }));
    await scene.upstream('cache', having(path));
    expect(offeredBy(await known(scene, path))).toEqual(['cache']);
  });

  test('of an unsigned narinfo nothing is kept but where the file is', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const lie: Sample = {
      ...path,
      narinfo: {
        ...path.narinfo,
        url: 'nar/lie.nar',
        references: [sample().narinfo.storePath],
        deriver: `${'0'.repeat(32)}-x.drv`,
        extra: [['X', 'y']],
        signatures: [],
      },
    };
    await scene.peer('pi', having(lie));
    await scene.upstream('cache', having(path));
    for (const { narinfo } of (await known(scene, path)).offers) {
      const { url: _, ...rest } = narinfo;
      const { url: __, ...truth } = path.narinfo;
      expect(rest).toEqual(truth);
    }
  });
});

describe('who did not keep what it offered', () => {
  async function withdrawn(): Promise<{ scene: LookupScene; path: Sample; cache: SceneSource }> {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const cache = await scene.upstream('cache', having(path));
    (await known(scene, path)).withdraw(cache.source, scene.clock.now());
    return { scene, path, cache };
  }

  test('is not believed for a minute', async () => {
    const { scene, path, cache } = await withdrawn();
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    expect(cache.server.requests).toHaveLength(2);
    await scene.clock.pass(59_999);
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    await scene.clock.pass(1);
    expect(offeredBy(await known(scene, path))).toEqual(['cache']);
  });

  test('is not asked for more when a transfer looks for more sources', async () => {
    const { scene, path, cache } = await withdrawn();
    await scene.peer('pi', having(path));
    const found = await known(scene, path);
    expect(offeredBy(found)).toEqual(['pi']);
    await scene.lookup.widen(found);
    expect(offeredBy(found)).toEqual(['pi']);
    expect(cache.source.usable).toBe(true);
  });
});

describe('more sources for a transfer', () => {
  test('are all that have the same NAR and were not asked', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const first = await scene.upstream('first', having(path), 1);
    await scene.upstream('second', having(unsigned(path)), 2);
    await scene.upstream('third', having(rebuilt(path)), 3);
    await scene.upstream('fourth', having(), 4);
    const found = await known(scene, path);
    expect(offeredBy(found)).toEqual(['first']);
    await scene.lookup.widen(found);
    expect(offeredBy(found)).toEqual(['first', 'second']);
    expect(first.server.requests).toHaveLength(1);
  });

  test('are those, too, that were away and are back', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { source: before } = await scene.peer('pi', having(path));
    const found = await known(scene, path);
    await scene.pool.remove(before.id);
    await before.source.dropConnections();
    const again = scene.pool.add(before.source);
    await scene.lookup.widen(found);
    expect(found.offers.map(({ source }) => source)).toEqual([again]);
    expect(found.obtainable(scene.clock.now())).toBe(true);
  });

  test('do not fail with one that fails', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.upstream('first', having(path), 1);
    const away = await scene.upstream('away', having(), 2);
    const found = await known(scene, path);
    await away.server.stop();
    await scene.lookup.widen(found);
    expect(offeredBy(found)).toEqual(['first']);
  });
});

describe('I2: memory answers only what can be had', () => {
  test('not while all who offered it are away', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { server, source } = await scene.upstream('cache', having(path));
    const found = await known(scene, path);
    expect(scene.lookup.remembered(hashPartOf(path))).toBe(found);
    await server.stop();
    expect(await source.check()).toBe(false);
    expect(scene.lookup.remembered(hashPartOf(path))).toBeUndefined();
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
  });

  test('not offline', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    await scene.upstream('cache', having(path));
    const found = await known(scene, path);
    scene.network.online = false;
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    scene.network.online = true;
    expect(await scene.lookup.find(hashPartOf(path))).toBe(found);
  });

  test('for an hour without asking again', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { server } = await scene.upstream('cache', having(path));
    const found = await known(scene, path);
    await scene.clock.pass(3_599_999);
    await known(scene, path);
    expect(server.requests).toHaveLength(1);
    await scene.clock.pass(1);
    expect(await known(scene, path)).toBe(found);
    expect(server.requests).toHaveLength(2);
    await scene.clock.pass(3_600_000);
    server.reply = having();
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
  });

  test('one source that is asked again does not speak for the others', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const pi = await scene.peer('pi', having(path));
    const cache = await scene.upstream('cache', having(path));
    const found = await known(scene, path);
    await scene.clock.pass(3_000_000);
    await scene.lookup.widen(found);
    expect(offeredBy(found)).toEqual(['pi', 'cache']);
    await scene.clock.pass(1_000_000);
    // Only the later one's word still counts.
    await scene.pool.remove(cache.source.id);
    pi.server.reply = having();
    expect(await scene.lookup.find(hashPartOf(path))).toBeUndefined();
    expect(pi.server.requests).toHaveLength(2);
  });
});

describe('I10: a question of another agent', () => {
  test('is told to the sources, with who asked', async () => {
    const scene = await lookupScene();
    const { server } = await scene.upstream('cache', having());
    await scene.lookup.find(hashPartOf(sample()), '1.1 narrowcast-pi');
    expect(server.requests[0]?.headers.via).toBe('1.1 narrowcast-pi, 1.1 narrowcast-test');
  });

  test('does not wait for the flight of our own question, which may wait for that very agent', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const peer = await scene.upstream('peer', (request, response) =>
      (request.headers.via?.includes('narrowcast-peer') ? text(404) : hang)(request, response),
    );
    const other = await scene.upstream('other', having(), 99);
    const own = scene.lookup.find(hashPartOf(path));
    await peer.server.wasAsked(narinfoPath(path));
    expect(await scene.lookup.find(hashPartOf(path), '1.1 narrowcast-peer')).toBeUndefined();
    expect(other.server.requests).toHaveLength(1);
    await scene.pool.close();
    await own;
  });

  test('is asked for once too', async () => {
    const scene = await lookupScene();
    const path = signedSample(scene.key);
    const { server } = await scene.upstream('cache', having(path));
    await Promise.all([1, 2, 3].map(() => scene.lookup.find(hashPartOf(path), '1.1 narrowcast-pi')));
    expect(server.requests).toHaveLength(1);
    expect(scene.lookup.remembered(hashPartOf(path))).toBeDefined();
  });
});
