import { join } from 'node:path';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { type Stats, statsSchema } from '../../agent/http/stats-schema.ts';
import { type FixturePath, hashPartOf } from '../fixtures/closure.ts';
import { CountingCache, type Manner } from './harness/counting-cache.ts';
import { makeClosure } from './harness/made-closure.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { Random } from './harness/random.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';
import { withFields } from './harness/spoiled-narinfo.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

/** Bytes of the files in the NARs; the last two make a tree of all. */
const sizes = [200_000, 300_000, 50_000, 250_000, 400_000, 12_000_000, 10_000_000, 1_000, 1_000];
/** So late that any cache on the LAN is first. */
const late = 1_500;

skippable(describe, privateStoreSkipReason())('the counters', () => {
  test('are those that a scripted run of real Nix must end with, and bytes are those on the wire', {
    timeout: 240_000,
  }, async () => {
    await using directory = await TemporaryDirectory.create('stats');
    const random = Random.seeded('stats-exact');
    const { dir, publicKey, paths } = await makeClosure(join(directory.path, 'made'), sizes, random);
    const [far, near, forged, denied, flipped, cut, dying] = paths;
    if (!far || !near || !forged || !denied || !flipped || !cut || !dying) throw new Error('no paths');

    await using upstream = await CountingCache.start(
      dir,
      new Map([...served(far), ...served(denied), ...served(flipped, { late }), ...served(dying, { late })]),
    );
    await using lan = await CountingCache.start(
      dir,
      new Map([
        ...served(near),
        ...served(forged, { instead: (text) => edited(text, { Sig: `made-1:${'A'.repeat(86)}==` }) }),
        ...served(denied, { instead: (text) => edited(text, { NarHash: near.narHash }) }),
        ...served(flipped, {}, { instead: withOtherBit }),
        ...served(cut, {}, { cutAt: 5_000_000 }),
        ...served(dying, {}, { cutAt: 4_000_000, dies: true }),
      ]),
    );
    const config = {
      substituters: [upstream.url],
      'trusted-public-keys': [publicKey],
      cache: { dir: join(directory.path, 'cache') },
    };
    const alone = { discover: false, advertise: false, listen: '' };

    /** Whether Nix, in a store of its own, gets the path from the relay. */
    async function realises(relay: RelayProcess, { path }: Pick<FixturePath, 'path'>): Promise<boolean> {
      await using store = await PrivateStore.create({
        options: { substituters: relay.url, 'trusted-public-keys': publicKey },
      });
      return (await store.run(['nix-store', '--realise', path])).code === 0;
    }

    let stats: Stats;
    {
      await using relay = await RelayProcess.start({ ...config, lan: { ...alone, peers: [lan.url] } });
      await expect.poll(async () => (await statsOf(relay)).sources.length, { timeout: 10_000 }).toBe(2);
      expect(await realises(relay, far)).toBe(true);
      expect(await realises(relay, near)).toBe(true);
      expect(await realises(relay, forged)).toBe(false);
      expect(await realises(relay, denied)).toBe(true);
      expect(await realises(relay, flipped)).toBe(true);
      expect(await realises(relay, cut)).toBe(true);
      expect(await realises(relay, far)).toBe(true);
      expect(await realises(relay, { path: `/nix/store/${'0'.repeat(32)}-nowhere` })).toBe(false);
      expect(await realises(relay, dying)).toBe(true);
      await expect.poll(async () => (await statsOf(relay)).sinceStart.narinfo.rejected).toBe(2);
      stats = await statsOf(relay);
    }

    const { narinfo, nar, bytes } = stats.sinceStart;
    expect({ ...narinfo, bySource: null }).toEqual({
      requests: 9,
      hits: 5,
      misses: 2,
      absent: 2,
      rejected: 2,
      bySource: null,
    });
    expect(answersOf(stats)).toEqual({ memory: 1, disk: 0, lan: 4, upstream: 2 });
    expect({ ...nar, bySource: null }).toEqual({
      requests: 7,
      hits: 3,
      misses: 4,
      absent: 0,
      failed: 0,
      resumed: 1,
      switched: 2,
      // Everybody else is asked before who gave a wrong one is given another chance.
      rejected: 1,
      bySource: null,
    });
    const narinfosServed = (stats.recent?.requests ?? []).filter(({ kind }) => kind === 'narinfo');
    const narinfoBytes = narinfosServed.reduce((sum, request) => sum + request.bytes, 0);
    const given = [far, near, denied, flipped, cut, dying];
    expect(bytes).toMatchObject({
      // The second time as it is stored.
      served: given.reduce((sum, { narSize }) => sum + narSize, narinfoBytes + far.fileSize),
      fromDisk: far.fileSize,
      fromUpstream: upstream.bytes,
      wasted: flipped.fileSize,
    });
    // What was sent before a cut need not all have arrived.
    within1Percent(bytes.fromLan, lan.bytes);
    within1Percent(bytes.savedUpstream, far.fileSize + near.fileSize + cut.fileSize + 4_000_000);
    within1Percent(nar.bySource[lan.url]?.bytes, lan.narBytes);
    expect(nar.bySource[upstream.url]?.bytes).toBe(upstream.narBytes);
    // The upstream may have been asked, too, for what the LAN then had first.
    expect(narinfo.bySource[upstream.url]).toMatchObject({ answered: 2, found: 4, rejected: 0, failed: 0 });
    expect(narinfo.bySource[lan.url]).toMatchObject({
      answered: 4,
      asked: lan.asked.filter((name) => name.endsWith('.narinfo')).length,
      found: 4,
      absent: 2,
      rejected: 2,
      failed: 0,
    });
    expect(stats.recent?.rejections.map(({ kind, path, source }) => [kind, path, source])).toEqual([
      ['narinfo', forged.path, lan.url],
      ['narinfo', denied.path, lan.url],
      ['nar', flipped.path, lan.url],
    ]);
    process.stdout.write(
      `  from the upstream: ${bytes.fromUpstream} counted, ${upstream.bytes} sent; from the LAN: ${bytes.fromLan} counted, ${lan.bytes} sent\n`,
    );

    // After a restart: from the disk, and the totals go on.
    {
      await using relay = await RelayProcess.start({ ...config, lan: alone });
      expect(await realises(relay, near)).toBe(true);
      await expect
        .poll(async () => (await statsOf(relay)).totals.narinfo.requests, { timeout: 10_000 })
        .toBe(narinfo.requests + 1);
      const after = await statsOf(relay);
      expect(answersOf(after)).toEqual({ memory: 0, disk: 1, lan: 0, upstream: 0 });
      expect(after.sinceStart.narinfo).toMatchObject({ requests: 1, hits: 1, misses: 0 });
      expect(after.sinceStart.nar).toMatchObject({ requests: 1, hits: 1, misses: 0 });
      expect(after.totals.bytes.served).toBe(bytes.served + after.sinceStart.bytes.served);
      expect(after.totals.bytes.fromDisk).toBe(bytes.fromDisk + near.fileSize);
      expect(after.totals.nar).toMatchObject({ requests: 8, hits: 4, misses: 4, switched: 2 });
      expect(after.history.reduce((sum, day) => sum + day.nar.requests, 0)).toBe(8);
    }
  });
});

function within1Percent(counted: number | undefined, sent: number): void {
  expect(Math.abs((counted ?? 0) / sent - 1), `${counted} counted, ${sent} sent`).toBeLessThan(0.01);
}

async function statsOf(relay: RelayProcess): Promise<Stats> {
  const response = await fetch(`${relay.url}/stats?since=2000-01-01`);
  return v.parse(statsSchema, await response.json());
}

/** How many narinfo requests were answered from where. */
function answersOf({ sinceStart }: Stats): Record<string, number> {
  const answers = { memory: 0, disk: 0, lan: 0, upstream: 0 };
  for (const { origin, answered } of Object.values(sinceStart.narinfo.bySource)) answers[origin] += answered;
  return answers;
}

/** The files of a path, and how a cache gives them. */
function served(
  { path, url }: FixturePath,
  narinfo: Manner = {},
  nar: Manner = {},
): [name: string, manner: Manner][] {
  return [
    [`${hashPartOf(path)}.narinfo`, narinfo],
    [url, nar],
  ];
}

function edited(narinfo: Buffer, fields: Readonly<Record<string, string>>): Buffer {
  return Buffer.from(withFields(narinfo.toString(), fields));
}

function withOtherBit(genuine: Buffer): Buffer {
  const bytes = Buffer.from(genuine);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  return bytes;
}
