import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packagedEnv, packagedNodeArguments } from '../../e2e/harness/packaged.ts';
import { PrivateStore, privateStoreSkipReason } from '../../e2e/harness/private-store.ts';
import { mustRun } from '../../e2e/harness/run-command.ts';
import { skippable } from '../../e2e/harness/skippable.ts';

const repository = join(import.meta.dirname, '../../..');
const headers = '/usr/include/node';
const needed = ['/usr/bin/g++', '/usr/include/lzma.h', `${headers}/node_api.h`];
const missing = needed.filter((file) => !existsSync(file));
const skipReason =
  privateStoreSkipReason() ??
  (missing.length === 0 ? undefined : `${missing.join(', ')} must be there to build the Nix package.`);

interface LockedPackage {
  readonly version: string;
  readonly integrity: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
}

/** The packages that the lock file says are needed to run, by place. */
function needsToRun(): [place: string, locked: LockedPackage][] {
  const { packages }: { packages: Record<string, LockedPackage> } = JSON.parse(
    readFileSync(join(repository, 'package-lock.json'), 'utf8'),
  );
  return Object.entries(packages).filter(
    ([place, { dev, optional, devOptional }]) => place !== '' && !dev && !optional && !devOptional,
  );
}

skippable(describe, skipReason)('nixos/package.nix', () => {
  let store: PrivateStore;
  let expression: string;
  beforeAll(async () => {
    store = await PrivateStore.create();
    const { stdout } = await mustRun(['xz', '--version']);
    expression = `let pkgs = import ${import.meta.dirname}/stand-in-pkgs.nix {
      node = "${dirname(process.execPath)}";
      headers = "${headers}";
      nodeModules = "${repository}/node_modules";
      liblzma = "${stdout.match(/liblzma (\S+)/)?.[1]}";
    };
    narrowcast = import ${repository}/nixos/package.nix { inherit (pkgs) lib stdenv runtimeShell installShellFiles cacert nodejs_24 xz; };
    in `;
    return () => store[Symbol.asyncDispose]();
  });

  test('fetches what the lock file says is needed to run: by name and version, held to its integrity', async () => {
    const asked = `${expression} builtins.mapAttrs (_: t: { inherit (t) promised; inherit (t.attrs) buildCommand; }) narrowcast.tarballs`;
    const { stdout } = await store.mustRun(['nix-instantiate', '--eval', '--strict', '--json', '-E', asked]);
    const tarballs: Record<string, { promised: string; buildCommand: string }> = JSON.parse(stdout);
    const locked = needsToRun();
    expect(locked.length).toBeGreaterThan(20);
    expect(Object.keys(tarballs).sort()).toEqual(locked.map(([place]) => place).sort());
    for (const [place, { version, integrity }] of locked) {
      const name = place.split('node_modules/').at(-1);
      expect(tarballs[place]).toEqual({
        promised: integrity,
        buildCommand: expect.stringContaining(`npm pack --silent ${name}@${version}\n`),
      });
    }
  });

  test('makes a program that runs and checks configurations, with this machine’s liblzma', {
    timeout: 120_000,
  }, async () => {
    const { stdout } = await store.mustRun(['nix-build', '--no-out-link', '-E', `${expression} narrowcast`]);
    const out = stdout.trim();
    const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
    expect((await store.mustRun([`${out}/bin/narrowcast`, '--version'])).stdout).toBe(`${version}\n`);

    const shared = async (file: string) => (await store.mustRun(['cat', `${out}/share/${file}`])).stdout;
    expect(await shared('man/man1/narrowcast.1')).toMatch(/^\.TH NARROWCAST 1/);
    expect(await shared('bash-completion/completions/narrowcast.bash')).toContain('complete -F _narrowcast');
    expect(await shared('zsh/site-functions/_narrowcast')).toMatch(/^#compdef narrowcast\n/);
    expect(await shared('fish/vendor_completions.d/narrowcast.fish')).toContain('complete -c narrowcast');

    const wrapper = (await store.mustRun(['cat', `${out}/bin/narrowcast`])).stdout;
    for (const [key, value] of Object.entries(packagedEnv))
      expect(wrapper).toContain(`export ${key}=\${${key}-${value}}\n`);
    expect(wrapper).toContain(`/bin/node ${packagedNodeArguments.join(' ')} ${out}`);

    const lzma = `${out}/lib/narrowcast/node_modules/lzma-native`;
    const linked = await store.mustRun(['ldd', `${lzma}/build/Release/lzma_native.node`]);
    expect(linked.stdout).toContain('liblzma.so.5');
    expect((await store.run(['ls', `${lzma}/prebuilds`])).code).not.toBe(0);

    const check = async (toml: string) =>
      store.run([
        'sh',
        '-c',
        'printf %s "$1" > "$HOME/config.toml" && exec "$0" "$HOME/config.toml"',
        `${out}/libexec/check-config`,
        toml,
      ]);
    expect((await check('listen = "localhost:6270"')).code).toBe(0);
    const refused = await check('lissten = "localhost:6270"');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('did you mean listen?')]);
  });
});
