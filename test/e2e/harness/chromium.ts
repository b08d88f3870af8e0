import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Where Debian's package chromium puts it; `NARROWCAST_CHROMIUM` names another. */
const executable = process.env['NARROWCAST_CHROMIUM'] ?? '/usr/bin/chromium';

/** Why tests that need a browser can't run here; undefined when they can. */
export const noChromium = existsSync(executable)
  ? undefined
  : `${executable} is missing (Debian: apt-get install chromium)`;

/** A browser without a window, and without a word to its makers' servers. */
export async function startChromium(): Promise<Browser> {
  return await chromium.launch({
    executablePath: executable,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking'],
  });
}
