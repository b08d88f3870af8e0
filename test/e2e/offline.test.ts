import { describe, expect, test } from 'vitest';
import { hashPartOf, smallClosure, smallExpression } from '../fixtures/closure.ts';
import { Offline, offlineSkipReason } from './harness/offline.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';

/** Twenty paths that nobody has asked for before. */
const unheardOf = Array.from(
  { length: 20 },
  (_, n) => `${String(n).padStart(2, '0')}${'a'.repeat(30)}.narinfo`,
);

skippable(describe, offlineSkipReason() ?? privateStoreSkipReason())('with no network at all', () => {
  // With the substituter that everybody has: its name cannot be resolved, its address could not be reached.
  const config = { substituters: ['https://cache.nixos.org'], 'log-level': 'debug' };

  test('I1: every narinfo is 404 within 1 s, and within 20 ms once the first is answered', async () => {
    await using offline = await Offline.start();
    await using relay = await RelayProcess.start(config, { inside: offline });

    const ask = async (...names: string[]) => {
      const { stdout } = await offline.run([
        'curl',
        '--silent',
        '--write-out',
        '%{http_code} %{time_total}\\n',
        ...names.flatMap((name) => ['--output', '/dev/null', `${relay.url}/${name}`]),
      ]);
      return stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' '))
        .map(([status, seconds]) => ({ status: Number(status), ms: Number(seconds) * 1_000 }));
    };

    expect(await ask('nix-cache-info')).toMatchObject([{ status: 200 }]);
    const [firstName = '', ...laterNames] = unheardOf;
    const [first] = await ask(firstName);
    expect(first?.status).toBe(404);
    expect(first?.ms).toBeLessThan(1_000);

    const later = await ask(...laterNames, firstName);
    expect(later.map(({ status }) => status)).toEqual(later.map(() => 404));
    // The median, because the scheduler of a busy machine is not what is tested.
    expect(later.map(({ ms }) => ms).sort((a, b) => a - b)[later.length >> 1]).toBeLessThan(20);
    expect(Math.max(...later.map(({ ms }) => ms))).toBeLessThan(1_000);
  });

  test('a build that needs nothing from outside succeeds', { timeout: 60_000 }, async () => {
    await using offline = await Offline.start();
    await using relay = await RelayProcess.start(config, { inside: offline });
    await using store = await PrivateStore.create({ inside: offline, options: { substituters: relay.url } });

    const { ms, stdout } = await store.mustRun([
      'nix-build',
      '--no-out-link',
      '-A',
      'wanted',
      smallExpression,
    ]);
    expect(await store.has(stdout.trim())).toBe(true);
    expect(ms).toBeLessThan(10_000);

    // Nix did ask the relay for each path.
    const log = relay.logs().map((line) => JSON.stringify(line));
    for (const { path } of (await smallClosure()).paths.filter(({ path }) => /-small-[ab]$/.test(path))) {
      expect(log.filter((line) => line.includes(hashPartOf(path))).length).toBeGreaterThanOrEqual(1);
    }
  });
});
