import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import type { RelayConfig } from './relay-process.ts';
import { type Outcome, runCommand } from './run-command.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

const main = join(import.meta.dirname, '../../../agent/main.ts');

/** Runs a narrowcast command to its end, with this configuration and no neighbours. */
export async function narrowcast(args: readonly string[], config: RelayConfig): Promise<Outcome> {
  await using directory = await TemporaryDirectory.create('command');
  const file = join(directory.path, 'narrowcast.toml');
  await writeFile(file, stringify({ listen: 'localhost:0', lan: { discover: false }, ...config }));
  return await runCommand([process.execPath, main, ...args, '--config', file], {
    env: { PATH: process.env['PATH'] ?? '', HOME: directory.path },
  });
}
