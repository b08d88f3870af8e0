import * as v from 'valibot';
import type { Config } from '../config/schema.ts';
import { NarrowcastError } from '../nix/error.ts';
import { getText } from './get-text.ts';

/**
 * A page of the agent that runs on this machine, of the form that is expected; waits for at most so many ms.
 * @throws NarrowcastError `not-running` when none answers at `listen`, `no-stats` when what answers is not an agent of our kind
 */
export async function askAgent<T>(
  { listen: { host, port } }: Pick<Config, 'listen'>,
  path: string,
  schema: v.GenericSchema<unknown, T>,
  patience = 5_000,
): Promise<T> {
  const url = `http://${host}:${port}`;
  const answer = await getText(`${url}${path}`, patience).catch((cause: unknown) => {
    throw new NarrowcastError(
      'not-running',
      `No narrowcast answers at ${url}: start it with 'narrowcast serve', or name its address with --option listen HOST:PORT.`,
      { cause },
    );
  });
  try {
    return v.parse(schema, JSON.parse(answer));
  } catch (cause) {
    throw new NarrowcastError(
      'no-stats',
      `What answers at ${url} is no narrowcast of this version: see 'narrowcast doctor'.`,
      { cause },
    );
  }
}
