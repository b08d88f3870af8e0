import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Nginx } from '../../e2e/harness/nginx.ts';
import { dir } from '../commands/narrowcast.ts';
import { evaluate, nixos } from './evaluate.ts';

test('real nginx shows what is a cache’s, and nothing that lies beside it', async () => {
  const cache = await mkdtemp(join(dir, 'static-'));
  const hash = '0123456789abcdfghijklmnpqrsvwxyz';
  const shown = ['nix-cache-info', `${hash}.narinfo`, `${hash}.ls`, 'nar/file.nar.xz', 'log/x-1.drv'];
  const hidden = ['partial/file.nar.xz', 'quarantine/file.nar.xz', '.lock', 'short.narinfo', 'nar/deep/file'];
  for (const directory of ['nar/deep', 'log', 'partial', 'quarantine'])
    await mkdir(join(cache, directory), { recursive: true });
  for (const file of [...shown, ...hidden]) await writeFile(join(cache, file), file);

  const locations: Record<string, { extraConfig: string }> = await evaluate(
    `(import ${nixos}/static-cache-parts.nix).locations "${cache}"`,
  );
  const config = Object.entries(locations).map(([name, it]) => `location ${name} { ${it.extraConfig} }`);
  await using nginx = await Nginx.start('/nonexistent', { config: config.join('\n') });
  const status = async (file: string) => [file, (await fetch(`${nginx.url}/${file}`)).status];
  expect(await Promise.all(shown.map(status))).toEqual(shown.map((file) => [file, 200]));
  const others = [...hidden, '', 'nar/', 'nar/..%2fpartial/file.nar.xz'];
  expect((await Promise.all(others.map(status))).filter(([, code]) => code === 200)).toEqual([]);
});
