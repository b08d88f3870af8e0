import { isIPv6 } from 'node:net';
import * as v from 'valibot';
import { type Stats, statsSchema } from '../../http/stats-schema.ts';
import { getText } from '../get-text.ts';

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
const anyVersion = v.looseObject({ schema: v.number(), version: v.string(), uptimeMs: v.number() });

/** Asks the agent at one of its addresses for its statistics, for at most five seconds. */
export async function askAgentAt(address: string, port: number): Promise<AgentAnswer> {
  const host = isIPv6(address) ? `[${address}]` : address;
  try {
    return read(address, await getText(`http://${host}:${port}/stats`, patience));
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
