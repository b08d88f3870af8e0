import { existsSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import type { Offline } from './offline.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** Where Debian's package chromium puts it; `NARROWCAST_CHROMIUM` names another. */
const executable = process.env['NARROWCAST_CHROMIUM'] ?? '/usr/bin/chromium';

/** Why tests that need a browser can't run here; undefined when they can. */
export const noChromium: string | undefined = existsSync(executable)
  ? undefined
  : `${executable} is missing (Debian: apt-get install chromium)`;

/** A browser without a window, and without a word to its makers' servers; in a network of its own where one is given. */
export async function startChromium(inside?: Pick<Offline, 'enter'>): Promise<Browser> {
  await using directory = await TemporaryDirectory.create('chromium');
  const wrapper = join(directory.path, 'chromium');
  const command = inside === undefined ? [executable] : inside.enter([executable]);
  await writeFile(wrapper, `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`);
  await chmod(wrapper, 0o755);
  return await chromium.launch({
    executablePath: wrapper,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking'],
  });
}
