import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, hashPartOf, pathNamed, smallClosure } from '../fixtures/closure.ts';
import { buildWanted, type WantedOutcome } from './harness/build-wanted.ts';
import type { FaultName } from './harness/faults.ts';
import { FaultyUpstream } from './harness/faulty-upstream.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';

type Range = readonly [atLeast: number, atMost: number];

/** A fault of the only upstream, how `small-b` may then come into the store, and how often the upstream was asked for it. */
interface Case {
  readonly fault: FaultName;
  readonly outcomes: readonly WantedOutcome[];
  /** Requests of any kind: a case that never reached the upstream would prove nothing. */
  readonly all: Range;
  /** Requests for the NAR of `small-b`. */
  readonly nar: Range;
}

const substituted = ['substituted'] as const;
const built = ['built'] as const;
const either = ['substituted', 'built'] as const;

const never: Range = [0, 0];
const once: Range = [1, 1];
const few: Range = [1, 10];
const some: Range = [2, 40];

const cases: readonly Case[] = [
  { fault: 'ok', outcomes: substituted, all: some, nar: once },
  { fault: 'all-refused', outcomes: built, all: never, nar: never },
  { fault: 'refused-after-cacheinfo', outcomes: built, all: few, nar: never },
  { fault: 'all-hang', outcomes: built, all: few, nar: never },
  { fault: 'ni-all-hang', outcomes: built, all: few, nar: never },
  { fault: 'all-500', outcomes: built, all: some, nar: never },
  { fault: 'all-503-ra1', outcomes: built, all: some, nar: never },
  { fault: 'all-429', outcomes: built, all: few, nar: never },
  { fault: 'ni-500', outcomes: built, all: some, nar: never },
  { fault: 'ni-503-ra1', outcomes: built, all: some, nar: never },
  { fault: 'ni-429-ra3', outcomes: built, all: some, nar: never },
  { fault: 'portal-html', outcomes: built, all: few, nar: never },
  { fault: 'portal-redirect', outcomes: built, all: few, nar: never },
  { fault: 'ni-html200', outcomes: built, all: some, nar: never },
  { fault: 'ni-redirect', outcomes: built, all: some, nar: never },
  { fault: 'ni-badsig', outcomes: built, all: some, nar: never },
  { fault: 'ni-unknownkey', outcomes: built, all: some, nar: never },
  { fault: 'ni-otherpath', outcomes: built, all: some, nar: never },
  { fault: 'ni-wrongpath', outcomes: built, all: some, nar: never },
  { fault: 'ni-65k', outcomes: built, all: some, nar: never },
  { fault: 'ni-endless', outcomes: built, all: some, nar: never },
  { fault: 'nar-trunc-ranges-once', outcomes: substituted, all: some, nar: [2, 2] },
  { fault: 'nar-trunc-noranges-once', outcomes: either, all: some, nar: [2, 10] },
  { fault: 'nar-trunc-always', outcomes: either, all: some, nar: some },
  { fault: 'nar-trunc-always-noranges', outcomes: built, all: some, nar: few },
  { fault: 'nar-flip', outcomes: built, all: some, nar: few },
  { fault: 'nar-redirect', outcomes: built, all: some, nar: few },
  { fault: 'nar-redirect-true', outcomes: substituted, all: some, nar: once },
];

skippable(describe, privateStoreSkipReason())('with a bad upstream behind the relay', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await smallClosure();
  });

  const relayTo = ({ url }: FaultyUpstream) =>
    RelayProcess.start({
      substituters: [url],
      'trusted-public-keys': [fixture.publicKey],
      'lookup-timeout': '2s',
      'stalled-download-timeout': '4s',
    });
  const narinfoOf = (relay: RelayProcess, name: string) =>
    fetch(`${relay.url}/${hashPartOf(pathNamed(fixture, name).path)}.narinfo`);

  test.concurrent.for(cases)(
    'I1: $fault: Nix gets the right bytes or goes on without the path',
    { timeout: 90_000 },
    async ({ fault, outcomes, all, nar }, { expect }) => {
      await using upstream = await FaultyUpstream.start(fixture, fault);
      await using relay = await relayTo(upstream);

      const build = await buildWanted(fixture, [relay.url], { timeoutMs: 60_000 });
      expect(outcomes, build.stderr).toContain(build.outcome);
      expectWithin(upstream.requests.length, all);
      expectWithin(upstream.targetCounts().nar, nar);
    },
  );

  test.for(['bomb-xz', 'bomb-zstd'] as const)(
    'I8: %s: 1 GiB behind a NarSize of 1 KiB costs the relay less than 200 MiB of memory',
    { timeout: 60_000 },
    async (fault) => {
      await using upstream = await FaultyUpstream.start(fixture, fault);
      await using relay = await relayTo(upstream);

      const build = await buildWanted(fixture, [relay.url]);
      expect(build, build.stderr).toMatchObject({ outcome: 'built' });
      expectWithin(upstream.targetCounts().nar, few);
      expect((await relay.memory()).peak).toBeLessThan(200 * 1024 * 1024);
    },
  );

  test.for(['all-hang', 'ni-all-hang'] as const)(
    '%s: a silent upstream costs the first lookups lookup-timeout, no later one',
    async (fault) => {
      await using upstream = await FaultyUpstream.start(fixture, fault);
      await using relay = await relayTo(upstream);
      const timed = async (name: string) => {
        const started = performance.now();
        const { status } = await narinfoOf(relay, name);
        return { status, ms: performance.now() - started };
      };

      const first = await Promise.all(['small-a', 'small-b'].map(timed));
      expect(first.map(({ status }) => status)).toEqual([404, 404]);
      expect(Math.min(...first.map(({ ms }) => ms))).toBeGreaterThan(1_500);
      expect(Math.max(...first.map(({ ms }) => ms))).toBeLessThan(6_000);

      for (const name of ['small-c', 'small-text', 'small-top', 'small-a', 'small-b']) {
        const later = await timed(name);
        expect(later.status).toBe(404);
        expect(later.ms).toBeLessThan(500);
      }
      expectWithin(upstream.requests.length, few);
    },
  );

  test('a login page on another host is never asked for in the place of a narinfo', async () => {
    for (const fault of ['portal-redirect', 'ni-redirect'] as const) {
      await using upstream = await FaultyUpstream.start(fixture, fault);
      await using relay = await relayTo(upstream);
      expect((await narinfoOf(relay, 'small-b')).status).toBe(404);
      expectWithin(upstream.requests.length, few);
      expect(upstream.requestsElsewhere).toBe(0);
    }
  });
});

function expectWithin(count: number, [atLeast, atMost]: Range): void {
  expect(count).toBeGreaterThanOrEqual(atLeast);
  expect(count).toBeLessThanOrEqual(atMost);
}
