import { type Fixture, type FixturePath, pathNamed, smallExpression } from '../../fixtures/closure.ts';
import { type NixOptions, PrivateStore } from './private-store.ts';

/**
 * What became of a path (`small-b`, unless another is named) when real Nix was asked for a build that needs it: taken from the cache, built from source, the whole
 * build failed, or it did not end in time.
 */
export type WantedOutcome = 'substituted' | 'built' | 'fails' | 'hangs';

export interface WantedBuild {
  readonly outcome: WantedOutcome;
  readonly ms: number;
  readonly stderr: string;
}

/** An attribute of the small expression, and the fixture's paths that it needs; the outcome is about the first. */
export interface Wanted {
  readonly attribute: string;
  readonly needs: readonly [name: string, ...more: string[]];
}

export interface WantedOptions {
  readonly options?: NixOptions;
  /** How long before the build counts as hanging; two minutes by default. */
  readonly timeoutMs?: number;
  /** `wanted`, which needs `small-b` and `small-a`, unless another is given. */
  readonly wanted?: Wanted;
}

/**
 * `nix-build -A wanted` of the small fixture in a fresh store with these substituters and `fallback = false`.
 * Throws when the build succeeded and left anything but the right bytes in the store.
 */
export async function buildWanted(
  fixture: Fixture,
  substituters: readonly string[],
  {
    options = {},
    timeoutMs = 120_000,
    wanted = { attribute: 'wanted', needs: ['small-b', 'small-a'] },
  }: WantedOptions = {},
): Promise<WantedBuild> {
  await using store = await PrivateStore.create({
    options: {
      substituters: substituters.join(' '),
      'trusted-public-keys': fixture.publicKey,
      ...options,
    },
  });
  const command = ['nix-build', '--no-out-link', '-A', wanted.attribute, smallExpression];
  const { code, timedOut, ms, stdout, stderr } = await store.run(command, { timeoutMs });
  if (timedOut) return { outcome: 'hangs', ms, stderr };
  if (code !== 0) return { outcome: 'fails', ms, stderr };

  await mustBeRight(
    store,
    stdout.trim(),
    wanted.needs.map((name) => pathNamed(fixture, name)),
  );
  const [subject] = wanted.needs;
  return {
    outcome: new RegExp(`^building '.*-${subject}\\.drv'`, 'm').test(stderr) ? 'built' : 'substituted',
    ms,
    stderr,
  };
}

async function mustBeRight(
  store: PrivateStore,
  wanted: string,
  needed: readonly FixturePath[],
): Promise<void> {
  for (const { path, narHash } of needed) {
    const { stdout } = await store.mustRun(['nix-store', '--query', '--hash', path]);
    if (stdout.trim() !== narHash) throw new Error(`${path} is in the store with ${stdout.trim()}.`);
  }
  await store.mustRun(['nix-store', '--verify-path', wanted, ...needed.map(({ path }) => path)]);
}
