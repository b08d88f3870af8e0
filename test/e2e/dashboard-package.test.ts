import { readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { RelayProcess } from './harness/relay-process.ts';
import { mustRun } from './harness/run-command.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const repository = join(import.meta.dirname, '../..');

it('the package that npm publishes has the dashboard and all that it is made of', {
  timeout: 120_000,
}, async () => {
  await using directory = await TemporaryDirectory.create('package');
  await mustRun(['npm', 'pack', '--pack-destination', directory.path], {
    cwd: repository,
    timeoutMs: 100_000,
  });
  const [tarball = ''] = await readdir(directory.path);
  await mustRun(['tar', '-xzf', join(directory.path, tarball), '-C', directory.path]);
  await symlink(join(repository, 'node_modules'), join(directory.path, 'node_modules'));

  const main = join(directory.path, 'package/dist/agent/main.js');
  await using relay = await RelayProcess.start({ substituters: [] }, { main });
  const page = await (await fetch(`${relay.url}/`)).text();
  const parts = [...page.matchAll(/(?:src|href)="(\/dashboard\/[^"]+)"/g)].map(([, path = '']) => path);
  expect(parts.length).toBeGreaterThan(20);
  for (const part of parts) expect((await fetch(relay.url + part)).status, part).toBe(200);
});
