import { cp, readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hashPartOf, pathNamed, smallClosure } from '../fixtures/closure.ts';
import { evaluate, nixos } from '../unit/nixos/evaluate.ts';
import { narrowcast } from './harness/narrowcast.ts';
import { Nginx } from './harness/nginx.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

/** Days ago. */
const ago = (days: number) => new Date(Date.now() - days * 86_400_000);

skippable(test, privateStoreSkipReason())(
  'of a directory that nginx alone serves, what nobody has fetched for long goes, and real Nix goes on fetching the rest',
  async () => {
    const small = await smallClosure();
    await using directory = await TemporaryDirectory.create('static');
    const cache = join(directory.path, 'cache');
    await cp(small.dir, cache, { recursive: true });
    for (const nar of await readdir(join(cache, 'nar')))
      await utimes(join(cache, 'nar', nar), ago(20), ago(20));

    const locations: Record<string, { extraConfig: string }> = await evaluate(
      `(import ${nixos}/static-cache-parts.nix).locations "${cache}"`,
    );
    const config = Object.entries(locations).map(([name, it]) => `location ${name} { ${it.extraConfig} }`);
    await using nginx = await Nginx.start('/nonexistent', { config: config.join('\n') });
    const fetched = async () => {
      const options = { substituters: nginx.url, 'trusted-public-keys': small.publicKey };
      await using store = await PrivateStore.create({ options });
      return await store.run(['nix-store', '--realise', pathNamed(small, 'small-c').path]);
    };
    expect((await fetched()).code).toBe(0);

    const { code, stderr, stdout } = await narrowcast(['gc'], {
      cache: { dir: cache, 'max-age': '14d', 'max-size': '0', 'min-free': '0' },
    });
    expect([code, stderr, stdout]).toEqual([0, '', expect.stringContaining('2 NARs of 2 paths removed')]);
    const left = (await readdir(cache)).filter((name) => name.endsWith('.narinfo'));
    const used = ['small-c', 'small-a', 'small-text'].map((name) => hashPartOf(pathNamed(small, name).path));
    expect(left.sort()).toEqual(used.map((hash) => `${hash}.narinfo`).sort());
    expect((await fetched()).code).toBe(0);
  },
);
