import { copyFile, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { asNix, evaluate, nixos } from '../unit/nixos/evaluate.ts';
import { credentials, Pi } from './harness/pi.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { mustRun } from './harness/run-command.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const main = join(import.meta.dirname, '../../agent/main.ts');
const skipReason = privateStoreSkipReason();

/** A flake of two hosts, of which one cannot be built, with an input whose text is what the other's system is. */
const flake = (input: string) => `{
  inputs.words = { url = "git+file://${input}"; flake = false; };
  outputs = { words, ... }: {
    nixosConfigurations = builtins.mapAttrs (name: script: {
      config.system.build.toplevel = derivation {
        inherit name;
        system = builtins.currentSystem or "${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux";
        builder = "/bin/sh";
        args = [ "-c" script ];
        words = builtins.readFile "\${words}/words";
      };
    }) {
      laptop = "printf %s \\"$words\\" > $out";
      broken = "echo this is why >&2; exit 1";
    };
  };
}
`;

/** A directory with a bare repository `systems.git` of the flake, a repository `words`, and a program that notes its words. */
class Scene implements AsyncDisposable {
  readonly store: PrivateStore;
  readonly #directory: TemporaryDirectory;

  private constructor(store: PrivateStore, directory: TemporaryDirectory) {
    this.store = store;
    this.#directory = directory;
  }

  static async create(): Promise<Scene> {
    const scene = new Scene(await PrivateStore.create(), await TemporaryDirectory.create('builder'));
    for (const place of ['words', 'systems', 'host', 'update', 'credentials']) await mkdir(scene.at(place));
    await writeFile(
      scene.at('narrowcast'),
      '#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done > pushed\n',
      {
        mode: 0o755,
      },
    );
    await scene.commit('words', { words: 'first' });
    await scene.commit('systems', { 'flake.nix': flake(scene.at('words')) });
    await scene.git('.', 'clone', '--quiet', '--bare', 'systems', 'systems.git');
    return scene;
  }

  at(...names: string[]): string {
    return join(this.#directory.path, ...names);
  }

  async git(place: string, ...words: string[]): Promise<string> {
    const identity = [
      '-c',
      'user.name=test',
      '-c',
      'user.email=test@localhost',
      '-c',
      'init.defaultBranch=main',
    ];
    return (await mustRun(['git', ...identity, ...words], { cwd: this.at(place) })).stdout;
  }

  async commit(place: string, files: Readonly<Record<string, string>>): Promise<void> {
    await this.git(place, 'init', '--quiet');
    for (const [name, text] of Object.entries(files)) await writeFile(this.at(place, name), text);
    await this.git(place, 'add', '.');
    await this.git(place, 'commit', '--quiet', '--message', 'Say it');
  }

  /** Runs one of the builder's scripts as its unit would. */
  async run(script: 'build' | 'update', place: string, more: object = {}) {
    const given = { url: `file://${this.at('systems.git')}`, branch: 'main', ...more };
    const text: string = await evaluate(`(import ${nixos}/builder-scripts.nix).${script} ${asNix(given)}`);
    const unit = ['env', `CREDENTIALS_DIRECTORY=${this.at('credentials')}`, 'sh', '-c', text];
    return this.store.run(unit, { cwd: this.at(place) });
  }

  build(host: string, more: object = {}) {
    const push = { narrowcast: this.at('narrowcast'), to: 'http://pi:6271' };
    return this.run('build', 'host', { host, ...push, ...more });
  }

  /** What `narrowcast` was told, word by word. */
  async pushed(): Promise<string[]> {
    return (await readFile(this.at('host/pushed'), 'utf8')).trimEnd().split('\n');
  }

  /** What the system says that was pushed last. */
  async system(): Promise<string> {
    const path = (await this.pushed()).at(-1) ?? '';
    return readFile(this.store.locate(path), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await this.#directory[Symbol.asyncDispose]();
  }
}

skippable(test, skipReason)(
  'a host is cloned, built and pushed as its root, with the keys that there are, and kept from the garbage collector',
  async () => {
    await using scene = await Scene.create();
    const first = await scene.build('laptop', { extraArgs: ['--max-rate', '2 MiB'] });
    expect(first.code, first.stderr).toBe(0);
    const path = expect.stringMatching(/^\/nix\/store\/[0-9a-z]{32}-laptop$/);
    const spool = ['--spool-dir', scene.at('host/spool')];
    const words = ['--config', '/dev/null', 'push', '--to', 'http://pi:6271', '--root', 'laptop'];
    expect(await scene.pushed()).toEqual([...words, '--max-rate', '2 MiB', ...spool, path]);
    expect(await scene.system()).toBe('first');

    await writeFile(scene.at('credentials/signing-key'), '');
    await writeFile(scene.at('credentials/netrc'), '');
    // Whatever a run that was broken off has left behind.
    await writeFile(scene.at('host/source/flake.nix'), 'not Nix');
    await writeFile(scene.at('host/source/left'), 'behind');
    const second = await scene.build('laptop');
    expect(second.code, second.stderr).toBe(0);
    const secrets = [
      '--key-file',
      scene.at('credentials/signing-key'),
      '--netrc-file',
      scene.at('credentials/netrc'),
    ];
    expect(await scene.pushed()).toEqual([...words, ...spool, ...secrets, path]);

    await scene.store.mustRun(['nix-store', '--gc']);
    expect(await scene.store.has((await scene.pushed()).at(-1) ?? '')).toBe(true);
  },
);

skippable(test, skipReason)(
  'a host that cannot be built says why, is not pushed, and is no other host’s trouble',
  async () => {
    await using scene = await Scene.create();
    const { code, stderr } = await scene.build('broken');
    expect(code).not.toBe(0);
    expect(stderr).toContain('this is why');
    await expect(scene.pushed()).rejects.toThrow('ENOENT');
    const other = await scene.build('laptop');
    expect(other.code, other.stderr).toBe(0);
  },
);

skippable(test, skipReason)(
  'an update is a commit on the branch, made once for each change of an input, and the next build has it',
  async () => {
    await using scene = await Scene.create();
    const commits = async () => Number(await scene.git('systems.git', 'rev-list', '--count', 'main'));
    const update = async () => {
      const { code, stderr } = await scene.run('update', 'update');
      expect(code, stderr).toBe(0);
    };
    await update();
    expect(await commits()).toBe(2);
    await update();
    expect(await commits()).toBe(2);

    await scene.commit('words', { words: 'second' });
    await scene.build('laptop');
    expect(await scene.system()).toBe('first');
    await update();
    expect(await commits()).toBe(3);
    expect(await scene.git('systems.git', 'log', '-1', '--format=%an', 'main')).toBe('narrowcast\n');
    await scene.build('laptop');
    expect(await scene.system()).toBe('second');
  },
);

skippable(test, skipReason)('an update that fails leaves the branch as it was', async () => {
  await using scene = await Scene.create();
  await writeFile(scene.at('systems.git/hooks/pre-receive'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const before = await scene.git('systems.git', 'rev-parse', 'main');
  expect((await scene.run('update', 'update')).code).not.toBe(0);
  expect(await scene.git('systems.git', 'rev-parse', 'main')).toBe(before);
  const built = await scene.build('laptop');
  expect(built.code, built.stderr).toBe(0);
});

skippable(test, skipReason)(
  'with the real push, the Pi has the host’s system as its root, which a laptop takes from there, and the next one beside it',
  async () => {
    await using scene = await Scene.create();
    await mustRun([
      process.execPath,
      main,
      'keygen',
      'home-1',
      '--secret-key-file',
      scene.at('credentials/signing-key'),
      '--public-key-file',
      scene.at('public-key'),
    ]);
    const publicKey = (await readFile(scene.at('public-key'), 'utf8')).trim();
    await using pi = await Pi.start({ publicKey });
    await copyFile(pi.netrc, scene.at('credentials/netrc'));
    await writeFile(scene.at('narrowcast'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);

    const built = async () => {
      const { code, stderr } = await scene.build('laptop', { to: pi.url });
      expect(code, stderr).toBe(0);
      return readlink(scene.at('host/result'));
    };
    const history = async () => {
      const headers = { authorization: `Basic ${btoa(`${credentials.name}:${credentials.token}`)}` };
      const roots = await (await fetch(`${pi.url}/roots`, { headers })).text();
      return roots.match(/\/nix\/store\/[0-9a-z]{32}-laptop/g);
    };
    const first = await built();
    expect(await history()).toEqual([first]);

    await using laptop = await PrivateStore.create({
      options: { substituters: pi.url, 'trusted-public-keys': publicKey },
    });
    await laptop.mustRun(['nix-store', '--realise', first]);
    expect(await readFile(laptop.locate(first), 'utf8')).toBe('first');

    await scene.commit('words', { words: 'second' });
    expect((await scene.run('update', 'update')).code).toBe(0);
    const second = await built();
    expect(second).not.toBe(first);
    expect(await history()).toEqual([second, first]);

    // A token that the Pi does not know: the unit fails, and says why.
    await writeFile(scene.at('credentials/netrc'), 'machine 127.0.0.1 login builder password wrong\n');
    const refused = await scene.build('laptop', { to: pi.url });
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/401|login|password/i);
  },
);

skippable(test, skipReason)('the post-build-hook leaves what Nix has built in the queue', async () => {
  await using scene = await Scene.create();
  const hook: string = await evaluate(`(import ${nixos}/builder-scripts.nix).hook "${scene.at('update')}"`);
  await writeFile(scene.at('hook'), `#!/bin/sh\n${hook}`, { mode: 0o755 });
  const options = { 'post-build-hook': scene.at('hook') };
  const expression = `derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }`;
  const { stdout } = await scene.store.mustRun(['nix-build', '--no-out-link', '-E', expression], { options });
  const [job = '', ...others] = await readdir(scene.at('update'));
  expect([job, others]).toEqual([expect.stringMatching(/-x\.drv$/), []]);
  expect(await readFile(scene.at('update', job), 'utf8')).toBe(stdout);
});
