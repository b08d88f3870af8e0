import { join } from 'node:path';
import { mustRun } from '../e2e/harness/run-command.ts';

/** What wrk asks for: the paths listed in a file, again and again, or narinfos that nobody has, each once. */
export type Load = { readonly list: string } | { readonly freshWithPrefix: string };

export interface LoadResult {
  readonly requestsPerSecond: number;
  /** Time to a whole answer, in ms. */
  readonly p50: number;
  readonly p99: number;
}

/** Nix opens so many. */
const usualConnections = 25;

/**
 * Loads a server from one thread.
 * @throws Error when an answer is not what was expected: 200 for all (`found`), or 404 for all
 */
export async function load(
  url: string,
  what: Load,
  seconds: number,
  expected: 'found' | 'absent',
  connections = usualConnections,
): Promise<LoadResult> {
  const script = join(import.meta.dirname, 'wrk.lua');
  const args = 'list' in what ? ['list', what.list] : ['fresh', what.freshWithPrefix];
  const { stdout } = await mustRun(
    ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url, '--', ...args],
    { timeoutMs: seconds * 1_000 + 30_000 },
  );
  const [requests = 0, refused, broken, took = 0, p50 = 0, p99 = 0] =
    /^result (.*)$/m.exec(stdout)?.[1]?.split(' ').map(Number) ?? [];
  if (requests > 0 && broken === 0 && refused === (expected === 'found' ? 0 : requests))
    return { requestsPerSecond: requests / took, p50, p99 };
  throw new Error(`wrk found other answers at ${url} than '${expected}':\n${stdout}`);
}
