import { request } from 'undici';
import * as v from 'valibot';
import type { Config } from '../config/schema.ts';
import { type Stats, statsSchema } from '../http/stats-schema.ts';
import { NarrowcastError } from '../nix/error.ts';

const maxBytes = 16 * 1024 * 1024;
const patience = 5_000;

/**
 * What the agent that runs on this machine tells of itself.
 * @throws NarrowcastError `not-running` when none answers at `listen`, `no-stats` when what answers is not an agent of our kind
 */
export async function agentStats({ listen: { host, port } }: Config): Promise<Stats> {
  const url = `http://${host}:${port}`;
  const answer = await ask(`${url}/stats`).catch((cause: unknown) => {
    throw new NarrowcastError(
      'not-running',
      `No narrowcast answers at ${url}: start it with 'narrowcast serve', or name its address with --option listen HOST:PORT.`,
      { cause },
    );
  });
  try {
    return v.parse(statsSchema, JSON.parse(answer));
  } catch (cause) {
    throw new NarrowcastError('no-stats', `What answers at ${url} is no narrowcast of this version.`, {
      cause,
    });
  }
}

async function ask(url: string): Promise<string> {
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
