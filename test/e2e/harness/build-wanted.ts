import { type Fixture, pathNamed, smallExpression } from '../../fixtures/closure.ts';
import { type NixOptions, PrivateStore } from './private-store.ts';

/**
 * What became of `small-b` when real Nix was asked for a build that needs it: taken from the cache, built from source, the whole
 * build failed, or it did not end in time.
 */
export type WantedOutcome = 'substituted' | 'built' | 'fails' | 'hangs';

export interface WantedBuild {
  readonly outcome: WantedOutcome;
  readonly ms: number;
  readonly stderr: string;
}

export interface WantedOptions {
  readonly options?: NixOptions;
  /** How long before the build counts as hanging; two minutes by default. */
  readonly timeoutMs?: number;
}

/**
 * `nix-build -A wanted` of the small fixture in a fresh store with these substituters and `fallback = false`.
 * Throws when the build succeeded and left anything but the right bytes in the store.
 */
export async function buildWanted(
  fixture: Fixture,
  substituters: readonly string[],
  { options = {}, timeoutMs = 120_000 }: WantedOptions = {},
): Promise<WantedBuild> {
  await using store = await PrivateStore.create({
    options: {
      substituters: substituters.join(' '),
      'trusted-public-keys': fixture.publicKey,
      ...options,
    },
  });
  const command = ['nix-build', '--no-out-link', '-A', 'wanted', smallExpression];
  const { code, timedOut, ms, stdout, stderr } = await store.run(command, { timeoutMs });
  if (timedOut) return { outcome: 'hangs', ms, stderr };
  if (code !== 0) return { outcome: 'fails', ms, stderr };

  await mustBeRight(store, fixture, stdout.trim());
  return { outcome: /^building '.*-small-b\.drv'/m.test(stderr) ? 'built' : 'substituted', ms, stderr };
}

async function mustBeRight(store: PrivateStore, fixture: Fixture, wanted: string): Promise<void> {
  const needed = [pathNamed(fixture, 'small-a'), pathNamed(fixture, 'small-b')];
  for (const { path, narHash } of needed) {
    const { stdout } = await store.mustRun(['nix-store', '--query', '--hash', path]);
    if (stdout.trim() !== narHash) throw new Error(`${path} is in the store with ${stdout.trim()}.`);
  }
  await store.mustRun(['nix-store', '--verify-path', wanted, ...needed.map(({ path }) => path)]);
}
