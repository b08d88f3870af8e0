import { beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, hashPartOf, pathNamed, smallClosure } from '../fixtures/closure.ts';
import { buildWanted } from './harness/build-wanted.ts';
import { FaultyUpstream } from './harness/faulty-upstream.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';

skippable(describe, privateStoreSkipReason())('two substituters behind the relay', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await smallClosure();
  });

  const relayTo = (...upstreams: FaultyUpstream[]) =>
    RelayProcess.start({
      substituters: upstreams.map(({ url }, order) => `${url}?priority=${order + 1}`),
      'trusted-public-keys': [fixture.publicKey],
    });

  test('the path that only the second has is found', { timeout: 60_000 }, async () => {
    await using without = await FaultyUpstream.start(fixture, 'ni-404');
    await using having = await FaultyUpstream.start(fixture, 'ok');
    await using relay = await relayTo(without, having);

    const build = await buildWanted(fixture, [relay.url]);
    expect(build, build.stderr).toMatchObject({ outcome: 'substituted' });
    expect(without.targetCounts()).toEqual({ narinfo: 1, nar: 0 });
    expect(having.targetCounts()).toEqual({ narinfo: 1, nar: 1 });
  });

  test.for(['ni-hang', 'all-hang'] as const)(
    'with the first in %s, a lookup that the second can answer ends within 1.5 s',
    async (fault) => {
      await using hanging = await FaultyUpstream.start(fixture, fault);
      await using having = await FaultyUpstream.start(fixture, 'ok');
      await using relay = await relayTo(hanging, having);
      const { path } = pathNamed(fixture, 'small-b');

      const started = performance.now();
      const response = await fetch(`${relay.url}/${hashPartOf(path)}.narinfo`);
      expect(await response.text()).toContain(`StorePath: ${path}\n`);
      expect(performance.now() - started).toBeLessThan(1_500);

      expect(hanging.requests.length).toBeGreaterThanOrEqual(1);
      expect(having.targetCounts()).toEqual({ narinfo: 1, nar: 0 });
    },
  );

  test('with the first hanging, the build takes everything from the second', {
    timeout: 60_000,
  }, async () => {
    await using hanging = await FaultyUpstream.start(fixture, 'all-hang');
    await using having = await FaultyUpstream.start(fixture, 'ok');
    // `wanted` itself is nowhere: that answer has to wait for the silent one.
    await using relay = await RelayProcess.start({
      substituters: [hanging.url, having.url],
      'trusted-public-keys': [fixture.publicKey],
      'lookup-timeout': '2s',
    });

    const build = await buildWanted(fixture, [relay.url]);
    expect(build, build.stderr).toMatchObject({ outcome: 'substituted' });
    expect(build.ms).toBeLessThan(15_000);
    expect(hanging.requests.length).toBeGreaterThanOrEqual(1);
    expect(having.targetCounts()).toEqual({ narinfo: 1, nar: 1 });
  });
});
