import type { Config } from '../config/schema.ts';
import { type Stats, statsSchema } from '../http/stats-schema.ts';
import { askAgent } from './ask-agent.ts';

/**
 * What the agent that runs on this machine tells of itself.
 * @throws NarrowcastError `not-running` or `no-stats`, see askAgent
 */
export async function agentStats(config: Pick<Config, 'listen'>): Promise<Stats> {
  return await askAgent(config, '/stats', statsSchema);
}
