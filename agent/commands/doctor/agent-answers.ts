import { isIPv6 } from 'node:net';
import { request } from 'undici';
import * as v from 'valibot';
import { type Stats, statsSchema } from '../../http/stats-schema.ts';

/** What answers at one address where the agent should. */
export interface AgentAnswer {
  readonly address: string;
  /** `stranger`: something answers that is no narrowcast. */
  readonly from: 'agent' | 'stranger' | 'nobody';
  /** Of the agent. */
  readonly version?: string;
  /** Where it is an agent of our version. */
  readonly stats?: Stats;
  /** The system's code where nobody answers, such as ECONNREFUSED. */
  readonly code?: string;
}

const patience = 5_000;
const maxBytes = 16 * 1024 * 1024;
const anyVersion = v.looseObject({ schema: v.number(), version: v.string(), uptimeMs: v.number() });

/** Asks the agent at one of its addresses for its statistics, for at most five seconds. */
export async function askAgentAt(address: string, port: number): Promise<AgentAnswer> {
  const host = isIPv6(address) ? `[${address}]` : address;
  try {
    const signal = AbortSignal.timeout(patience);
    const { body } = await request(`http://${host}:${port}/stats`, { signal });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBytes) return { address, from: 'stranger' };
      chunks.push(chunk);
    }
    return read(address, Buffer.concat(chunks).toString());
  } catch (error) {
    return { address, from: 'nobody', code: codeOf(error) };
  }
}

function read(address: string, text: string): AgentAnswer {
  const json = parsed(text);
  const loose = v.safeParse(anyVersion, json);
  if (!loose.success) return { address, from: 'stranger' };
  const stats = v.safeParse(statsSchema, json);
  const { version } = loose.output;
  return { address, from: 'agent', version, ...(stats.success && { stats: stats.output }) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
