import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../../agent/config/load.ts';
import { dir } from '../commands/narrowcast.ts';
import { asNix, evaluate, nixos } from './evaluate.ts';

const nowhere = { systemFile: '/nonexistent', env: {}, root: true };

/** The agent's reading of what nixos/toml.nix prints. */
async function loaded(settings: string) {
  const file = join(await mkdtemp(join(dir, 'config-')), 'config.toml');
  await writeFile(file, await evaluate(`import ${nixos}/toml.nix ${settings}`));
  return loadConfig({ ...nowhere, file });
}

test('the agent takes every default of nixos/settings.toml for its own', async () => {
  // Every key has one table at most: the module makes options of them with the library.
  const defaults = `(let
    keys = (builtins.fromTOML (builtins.readFile ${nixos}/settings.toml)).key;
    parts = key: builtins.filter builtins.isString (builtins.split "[.]" key.name);
    table = key: if builtins.length (parts key) == 1 then "" else builtins.head (parts key);
    within = name: builtins.listToAttrs (map (key: { name = builtins.elemAt (parts key) (if name == "" then 0 else 1); value = key.default; }) (builtins.filter (key: table key == name) keys));
    tables = builtins.listToAttrs (map (key: { name = table key; value = within (table key); }) keys);
  in removeAttrs tables [ "" ] // within "")`;
  const ours = await loaded(defaults);
  expect(ours).toEqual(await loadConfig(nowhere));
  expect(ours.lan.maxConnections).toBe(64);
});

test('the agent reads other values as they were meant', async () => {
  const config = await loaded(
    asNix({
      listen: '127.0.0.1:1234',
      substituters: ['http://192.168.0.42?priority=10', 'https://cache.nixos.org/'],
      'log-level': 'debug',
      cache: { 'max-size': '5GiB', compression: 'zstd' },
      lan: { discover: false, 'max-connections': 7, 'share-keys': [] },
    }),
  );
  expect(config).toMatchObject({
    listen: { host: '127.0.0.1', port: 1234 },
    substituters: [{ priority: 10 }, { url: new URL('https://cache.nixos.org/') }],
    logLevel: 'debug',
    cache: { maxSize: 5 * 2 ** 30, compression: 'zstd' },
    lan: { discover: false, maxConnections: 7, shareKeys: new Set() },
  });
});

test('the agent refuses a key that it does not know, which the module lets pass', async () => {
  await expect(loaded(asNix({ lan: { discovr: true } }))).rejects.toThrow('did you mean lan.discover?');
});
