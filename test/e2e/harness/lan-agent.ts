import type { Fixture } from '../../fixtures/closure.ts';
import type { Lab } from '../discovery/lab.ts';
import { type LogLine, type RelayConfig, RelayProcess } from './relay-process.ts';

/** An agent on a host of a lab, which shows the LAN what the fixture's key has signed. */
export async function startAgent(
  lab: Lab,
  host: string,
  { publicKey }: Fixture,
  { lan = {}, ...config }: RelayConfig & { readonly lan?: object } = {},
  inside = lab.on(host),
): Promise<RelayProcess> {
  return await RelayProcess.start(
    {
      substituters: [],
      'trusted-public-keys': [publicKey],
      'log-level': 'debug',
      lan: { listen: '[::]:6271', 'share-keys': [publicKey.split(':')[0]], ...lan },
      ...config,
    },
    { inside },
  );
}

/** When the agent logged a line with this message and these fields, in ms since the epoch; undefined if it has not. */
export function loggedAt(
  agent: RelayProcess,
  msg: string,
  fields: Readonly<Record<string, unknown>> = {},
): number | undefined {
  const fits = (line: LogLine) =>
    line.msg === msg && Object.entries(fields).every(([field, value]) => line[field] === value);
  const line = agent.logs().find(fits);
  return line === undefined ? undefined : Date.parse(String(line['time']));
}
