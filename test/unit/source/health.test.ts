import { describe, expect, test } from 'vitest';
import { SourceError } from '../../../agent/source/error.ts';
import { MonitoredSource } from '../../../agent/source/monitored-source.ts';
import {
  cacheInfoText,
  narinfoPath,
  narinfoText,
  type Sample,
  sample,
  storeDir,
} from './support/cache-files.ts';
import { type Distant, distant } from './support/distant-source.ts';
import { faultOf } from './support/fault-of.ts';
import { httpSource } from './support/http-source.ts';
import { byPath, hang, type Reply, reset, ScriptedServer, text } from './support/scripted-server.ts';

const never = new AbortController().signal;
const paths = Array.from({ length: 6 }, () => sample());
const [path = sample(), ...others] = paths;
const { hashPart } = path.narinfo.storePath;
const file = narinfoPath(path);
const info = '/nix-cache-info';
const page = text(200, '<!DOCTYPE html><title>Log in</title>\n');

const hashPartOf = ({ narinfo }: Sample) => narinfo.storePath.hashPart;

/** A cache that has nothing, apart from what is said. */
function cache(replies: Readonly<Record<string, Reply>> = {}): Reply {
  return byPath({ [info]: text(200, cacheInfoText), ...replies });
}

/** Every narinfo gets the same answer. */
function narinfos(reply: Reply): Reply {
  return (request, response) => (request.url === info ? text(200, cacheInfoText) : reply)(request, response);
}

/** Lets the probe that waits next be made, and waits for its end. */
async function nextProbe({ clock, monitored }: Distant, ms: number): Promise<void> {
  clock.passNow(await clock.timer(ms));
  await monitored.check();
}

describe('a source', () => {
  test('nobody has asked yet is asked', async () => {
    const { monitored } = await distant(cache());
    expect(monitored).toMatchObject({ health: 'unknown', usable: true, reason: undefined });
  });

  test('that answers is up, whether it has the path or not', async () => {
    for (const reply of [cache(), cache({ [file]: text(200, narinfoText(path)) })]) {
      const { monitored, changes, log } = await distant(reply);
      await monitored.narinfo(hashPart, never);
      await monitored.narinfo(hashPartOf(paths[1] ?? path), never);
      expect(monitored).toMatchObject({ health: 'up', usable: true });
      expect(changes).toEqual(['up']);
      expect(log.messages('info')).toEqual(['source is up']);
    }
  });

  test('that refuses connections is down at once, and says why', async () => {
    const { server, monitored, changes, log } = await distant(cache());
    await server.stop();
    expect(await faultOf(monitored.narinfo(hashPart, never))).toBe('unreachable');
    expect(monitored).toMatchObject({ health: 'down', usable: false });
    expect(monitored.reason).toContain('ECONNREFUSED');
    expect(changes).toEqual(['down']);
    expect(log.messages('info')).toEqual(['source is down']);
  });

  test('that was up is not given up over one refused connection', async () => {
    const { server, monitored, clock } = await distant(cache());
    await monitored.narinfo(hashPart, never);
    const { port } = server;
    await server.stop();
    const asked = monitored.narinfo(hashPartOf(paths[1] ?? path), never);
    await clock.timer(75, 125);
    await using again = await ScriptedServer.start(cache(), { port });
    await clock.pass(125);
    expect(await asked).toBeUndefined();
    expect(monitored.health).toBe('up');
    expect(again.requests).toHaveLength(1);
  });

  test('that was up and refuses two in a row is down', async () => {
    const { server, monitored, clock } = await distant(cache());
    await monitored.narinfo(hashPart, never);
    await server.stop();
    const fault = faultOf(monitored.narinfo(hashPartOf(paths[1] ?? path), never));
    await clock.passTimer(75, 125);
    expect(await fault).toBe('unreachable');
    expect(monitored.health).toBe('down');
  });

  test('whose NAR cannot be opened for want of a connection is down, one whose NAR is gone is not', async () => {
    const { server, monitored } = await distant(cache());
    expect(await faultOf(monitored.openNar('nar/x', 0, never))).toBe('gone');
    expect(monitored.usable).toBe(true);
    await server.stop();
    expect(await faultOf(monitored.openNar('nar/x', 0, never))).toBe('unreachable');
    expect(monitored.health).toBe('down');
  });

  test('whose NAR went silent is down, one whose NAR was cut is asked how it is', async () => {
    const { server, monitored } = await distant(cache());
    monitored.suspect(new SourceError('broken', 'cut'));
    await server.wasAsked(info);
    expect(await monitored.check()).toBe(true);
    expect(monitored.health).toBe('up');
    monitored.suspect(new SourceError('silent', 'silent'));
    expect(monitored.health).toBe('down');
  });

  test('that is closed ends what waits for it, and is asked nothing more', async () => {
    const { server, monitored, clock } = await distant(narinfos(hang));
    const asked = faultOf(monitored.narinfo(hashPart, never));
    await server.wasAsked(file);
    await monitored.close();
    expect(await asked).toBe('unreachable');
    expect(monitored.usable).toBe(false);
    expect(clock.pending).toBe(0);
    expect(await monitored.check()).toBe(false);
  });
});

test('a source that is down and closed is not probed', async () => {
  const { server, monitored, clock } = await distant(cache());
  await server.stop();
  await faultOf(monitored.narinfo(hashPart, never));
  expect(clock.pending).toBe(1);
  await monitored.close();
  expect(clock.pending).toBe(0);
});

describe('silence', () => {
  test('marks a source down, and all that wait for it are told at once', async () => {
    const { server, monitored, clock } = await distant(narinfos(hang));
    const first = faultOf(monitored.narinfo(hashPart, never));
    await clock.pass(10_000);
    const later = others.map((one) => faultOf(monitored.narinfo(hashPartOf(one), never)));
    await server.until(() => server.requests.length === paths.length);
    await clock.pass(10_000);
    expect(await first).toBe('silent');
    expect(await Promise.all(later)).toEqual(others.map(() => 'silent'));
    expect(monitored.health).toBe('down');
  });

  test('is over only when the narinfo that did not come comes', async () => {
    const scene = await distant(narinfos(hang));
    const { server, monitored, clock } = scene;
    const fault = faultOf(monitored.narinfo(hashPart, never));
    await server.wasAsked(file);
    await clock.pass(20_000);
    expect(await fault).toBe('silent');

    // The small file beside it comes, the narinfo still does not.
    await clock.passTimer(1_000);
    await server.wasAsked(info);
    await server.wasAsked(file, 2);
    clock.passNow(20_000);
    expect(await monitored.check()).toBe(false);
    expect(monitored.health).toBe('down');

    server.reply = cache({ [file]: text(200, narinfoText(path)) });
    await nextProbe(scene, 2_000);
    expect(server.count(file)).toBe(3);
    expect(monitored.health).toBe('up');
  });

  test('is over when that narinfo turns out odd: only that path is', async () => {
    const scene = await distant(narinfos(hang));
    const { server, monitored, clock } = scene;
    const fault = faultOf(monitored.narinfo(hashPart, never));
    await server.wasAsked(file);
    await clock.pass(20_000);
    await fault;
    server.reply = cache({ [file]: page });
    await nextProbe(scene, 1_000);
    expect(monitored.health).toBe('up');
  });
});

describe('a source that is down', () => {
  test('is probed after 1 s, then after ever longer pauses up to a minute', async () => {
    const scene = await distant(cache());
    const { server, monitored, clock } = scene;
    await server.stop();
    await faultOf(monitored.narinfo(hashPart, never));
    for (const pause of [1, 2, 4, 8, 16, 32, 60, 60, 60]) {
      expect(await clock.timer(1, 100_000)).toBe(pause * 1_000);
      await nextProbe(scene, pause * 1_000);
    }
    expect(monitored.health).toBe('down');
  });

  test('is up when a probe succeeds, and asked again from then on', async () => {
    const scene = await distant(cache());
    const { server, monitored, changes } = scene;
    const { port } = server;
    await server.stop();
    await faultOf(monitored.narinfo(hashPart, never));
    await using again = await ScriptedServer.start(cache(), { port });
    await nextProbe(scene, 1_000);
    expect(monitored).toMatchObject({ health: 'up', usable: true, reason: undefined });
    expect(changes).toEqual(['down', 'up']);
    expect(again.asked).toEqual([info]);
    expect(scene.clock.pending).toBe(0);
  });
});

describe('a passing fault', () => {
  test.for([
    ['500', text(500)],
    ['429', text(429)],
    ['a reset', reset],
  ] as const)('is tried five times in all, with growing pauses: %s', async ([_, reply]) => {
    const { server, monitored, clock } = await distant(narinfos(reply));
    const fault = faultOf(monitored.narinfo(hashPart, never));
    for (const pause of [100, 200, 400, 800]) await clock.passTimer(pause * 0.75, pause * 1.25);
    expect(['unavailable', 'broken']).toContain(await fault);
    expect(server.count(file)).toBe(5);
  });

  test('that passes costs nothing but time', async () => {
    let answers = 0;
    const { monitored, clock } = await distant(
      narinfos((request, response) =>
        (++answers < 5 ? text(503) : text(200, narinfoText(path)))(request, response),
      ),
    );
    const asked = monitored.narinfo(hashPart, never);
    for (const pause of [100, 200, 400, 800]) await clock.passTimer(pause * 0.75, pause * 1.25);
    expect(await asked).toEqual(path.narinfo);
    expect(monitored.health).toBe('up');
  });

  test('ends at once for a caller that leaves', async () => {
    const { monitored, clock } = await distant(narinfos(text(500)));
    const abort = new AbortController();
    const reason = new Error('left');
    const asked = expect(monitored.narinfo(hashPart, abort.signal)).rejects.toBe(reason);
    await clock.timer(75, 125);
    abort.abort(reason);
    await asked;
    expect(clock.pending).toBe(0);
  });

  async function failing({ monitored, clock }: Distant, one: Sample): Promise<void> {
    const fault = faultOf(monitored.narinfo(hashPartOf(one), never));
    for (const pause of [100, 200, 400, 800]) await clock.passTimer(pause * 0.75, pause * 1.25);
    await fault;
  }

  test('of one path, however often, is that path’s trouble', async () => {
    const scene = await distant(cache({ [file]: text(500) }));
    for (let i = 0; i < 5; i++) await failing(scene, path);
    expect(scene.monitored.usable).toBe(true);
  });

  test('of three different paths in a row is the source’s', async () => {
    const scene = await distant(narinfos(text(500)));
    const [a = path, b = path, c = path] = paths;
    await failing(scene, a);
    await failing(scene, b);
    expect(scene.monitored.usable).toBe(true);
    await failing(scene, c);
    expect(scene.monitored.health).toBe('down');

    // It owes the last one, beside a good nix-cache-info.
    await nextProbe(scene, 1_000);
    expect(scene.server.count(narinfoPath(c))).toBe(6);
    expect(scene.monitored.health).toBe('down');
    scene.server.reply = cache();
    await nextProbe(scene, 2_000);
    expect(scene.monitored.health).toBe('up');
  });

  test('is forgiven by any answer', async () => {
    const scene = await distant(cache());
    const [a = path, b = path, c = path, d = path, e = path] = paths;
    await scene.monitored.narinfo(hashPartOf(e), never);
    scene.server.reply = narinfos(text(500));
    await failing(scene, a);
    await failing(scene, b);
    scene.server.reply = cache();
    await scene.monitored.narinfo(hashPartOf(d), never);
    scene.server.reply = narinfos(text(500));
    await failing(scene, c);
    expect(scene.monitored.usable).toBe(true);
  });

  test('of a probe is no evidence against a source that was not down, which is probed again', async () => {
    const scene = await distant(text(503));
    const { server, monitored } = scene;
    expect(await monitored.check()).toBe(false);
    expect(monitored).toMatchObject({ health: 'unknown', usable: true });
    server.reply = cache();
    await nextProbe(scene, 1_000);
    expect(monitored).toMatchObject({ health: 'up', priority: 41 });
  });
});

describe('Retry-After', () => {
  test('up to two seconds is waited for', async () => {
    let answers = 0;
    const { monitored, clock } = await distant(
      narinfos((request, response) =>
        (++answers === 1 ? text(503, '', { 'retry-after': '2' }) : text(200, narinfoText(path)))(
          request,
          response,
        ),
      ),
    );
    const asked = monitored.narinfo(hashPart, never);
    await clock.passTimer(2_000);
    expect(await asked).toEqual(path.narinfo);
  });

  test.for([
    ['3', 3_000],
    ['120', 120_000],
    ['86400', 300_000],
  ] as const)('of %s s is not: the source is left alone for it, 300 s at most', async ([seconds, ms]) => {
    const scene = await distant(narinfos(text(429, '', { 'retry-after': seconds })));
    const { server, monitored } = scene;
    expect(await faultOf(monitored.narinfo(hashPart, never))).toBe('unavailable');
    expect(monitored.health).toBe('down');
    expect(server.requests).toHaveLength(1);
    expect(await scene.clock.timer(1, 1_000_000)).toBe(ms);
  });
});

describe('a captive network', () => {
  test('marks a source captive by a page in the place of its narinfo and its nix-cache-info', async () => {
    const scene = await distant(page);
    const { server, monitored } = scene;
    expect(await faultOf(monitored.narinfo(hashPart, never))).toBe('captive');
    expect(monitored).toMatchObject({ health: 'captive', usable: false });
    server.reply = cache();
    await nextProbe(scene, 1_000);
    expect(monitored.health).toBe('up');
  });

  test('is found out with one question, however many wonder', async () => {
    const { server, monitored } = await distant(page);
    const faults = await Promise.all(paths.map((one) => faultOf(monitored.narinfo(hashPartOf(one), never))));
    expect(faults).toEqual(paths.map(() => 'captive'));
    expect(server.count(info)).toBe(1);
  });

  test('ends what still waits', async () => {
    const { server, monitored } = await distant(
      byPath({ [info]: page, [file]: page, [narinfoPath(others[0] ?? path)]: hang }),
    );
    const waiting = faultOf(monitored.narinfo(hashPartOf(others[0] ?? path), never));
    await server.until(() => server.requests.length === 1);
    await faultOf(monitored.narinfo(hashPart, never));
    expect(await waiting).toBe('captive');
  });

  test('is not one odd narinfo beside a true nix-cache-info: that path is absent for a minute', async () => {
    const { server, monitored, clock } = await distant(cache({ [file]: page }));
    expect(await faultOf(monitored.narinfo(hashPart, never))).toBe('captive');
    expect(monitored.health).toBe('up');
    expect(await monitored.narinfo(hashPart, never)).toBeUndefined();
    expect(server.count(file)).toBe(1);
    await clock.pass(60_001);
    await faultOf(monitored.narinfo(hashPart, never));
    expect(server.count(file)).toBe(2);
  });

  test('is one where nix-cache-info does not come true', async () => {
    const { monitored } = await distant(byPath({ [file]: page, [info]: text(503) }));
    await faultOf(monitored.narinfo(hashPart, never));
    expect(monitored.health).toBe('captive');
  });

  test('is a cache of another store', async () => {
    const { monitored } = await distant(text(200, 'StoreDir: /other/store\n'));
    expect(await monitored.check()).toBe(false);
    expect(monitored.health).toBe('captive');
    expect(monitored.reason).toContain('/other/store');
  });
});

describe('‘not here’', () => {
  test('is believed for a minute', async () => {
    const { server, monitored, clock } = await distant(cache());
    expect(monitored.lacks(hashPart)).toBe(false);
    await monitored.narinfo(hashPart, never);
    expect(monitored.lacks(hashPart)).toBe(true);
    await clock.pass(59_999);
    await monitored.narinfo(hashPart, never);
    expect(server.count(file)).toBe(1);
    await clock.pass(2);
    expect(monitored.lacks(hashPart)).toBe(false);
    server.reply = cache({ [file]: text(200, narinfoText(path)) });
    expect(await monitored.narinfo(hashPart, never)).toEqual(path.narinfo);
  });

  test('is forgotten on another network', async () => {
    const { server, monitored } = await distant(cache());
    await monitored.narinfo(hashPart, never);
    await monitored.networkChanged();
    expect(monitored.lacks(hashPart)).toBe(false);
    await monitored.narinfo(hashPart, never);
    expect(server.count(file)).toBe(2);
  });

  test('I10: is not remembered from an answer to another agent’s question, which may have come round', async () => {
    const { server, monitored } = await distant(cache());
    expect(await monitored.narinfo(hashPart, never, '1.1 narrowcast-pi')).toBeUndefined();
    expect(monitored.lacks(hashPart)).toBe(false);
    expect(server.requests[0]?.headers.via).toContain('narrowcast-pi');
  });
});

describe('another network', () => {
  test('brings a source that was down back at once', async () => {
    const { server, monitored } = await distant(cache());
    const { port } = server;
    await server.stop();
    await faultOf(monitored.narinfo(hashPart, never));
    await using _again = await ScriptedServer.start(cache(), { port });
    await monitored.networkChanged();
    expect(await monitored.check()).toBe(true);
    expect(monitored.health).toBe('up');
  });

  test('is asked over a connection of its own, though a probe still hangs on the old one', async () => {
    const { server, monitored } = await distant(hang);
    const old = monitored.check();
    await server.wasAsked(info);
    server.reply = cache();
    await monitored.networkChanged();
    expect(await old).toBe(false);
    await server.wasAsked(info, 2);
    expect(await monitored.check()).toBe(true);
    expect(monitored).toMatchObject({ health: 'up', priority: 41 });
  });

  test('does not end a lookup: it is asked again there', async () => {
    const { server, monitored, clock } = await distant(hang);
    const asked = monitored.narinfo(hashPart, never);
    await server.wasAsked(file);
    server.reply = cache({ [file]: text(200, narinfoText(path)) });
    await monitored.networkChanged();
    await clock.passTimer(75, 125);
    expect(await asked).toEqual(path.narinfo);
  });

  test('begins the pauses between probes anew', async () => {
    const scene = await distant(cache());
    const { server, monitored, clock } = scene;
    await server.stop();
    await faultOf(monitored.narinfo(hashPart, never));
    for (const pause of [1_000, 2_000, 4_000]) await nextProbe(scene, pause);
    await monitored.networkChanged();
    await monitored.check();
    expect(await clock.timer(1, 100_000)).toBe(1_000);
  });
});

describe('offline', () => {
  test('no source is usable but those on this machine', async () => {
    const { server, monitored, network, log } = await distant(cache());
    network.online = false;
    expect(monitored.usable).toBe(false);
    expect(await monitored.check()).toBe(false);
    expect(server.requests).toHaveLength(0);
    expect(monitored.health).toBe('unknown');
    const options = { storeDir, log: log.log, online: () => false };
    await using here = await ScriptedServer.start(cache());
    const local = new MonitoredSource(httpSource(here.url), options);
    expect(local.usable).toBe(true);
    expect(await local.check()).toBe(true);
  });

  test('what waits ends at once, and the source is no worse for it', async () => {
    const { server, monitored, network, clock } = await distant(hang);
    const asked = faultOf(monitored.narinfo(hashPart, never));
    await server.wasAsked(file);
    network.online = false;
    await monitored.networkChanged();
    expect(await asked).toBe('unreachable');
    expect(monitored.health).toBe('unknown');
    expect(clock.pending).toBe(0);
    network.online = true;
    server.reply = cache();
    await monitored.networkChanged();
    expect(await monitored.check()).toBe(true);
  });
});
