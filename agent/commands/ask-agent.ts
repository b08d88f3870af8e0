import { request } from 'undici';
import * as v from 'valibot';
import type { Config } from '../config/schema.ts';
import { NarrowcastError } from '../nix/error.ts';

const maxBytes = 16 * 1024 * 1024;

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
  const answer = await ask(`${url}${path}`, patience).catch((cause: unknown) => {
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

async function ask(url: string, patience: number): Promise<string> {
  const { body } = await request(url, { signal: AbortSignal.timeout(patience) });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new RangeError(`more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
