import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Where a user's programs keep what they can make again: `$XDG_CACHE_HOME`, else `~/.cache` (XDG base directory specification 0.8). */
export function cacheHome({ XDG_CACHE_HOME: xdg = '', HOME: home }: NodeJS.ProcessEnv): string {
  return isAbsolute(xdg) ? xdg : join(home || homedir(), '.cache');
}
