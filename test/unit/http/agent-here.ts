import { onTestFinished } from 'vitest';
import { createAgent } from '../../../agent/agent.ts';
import { loadConfig } from '../../../agent/config/load.ts';
import type { Option } from '../../../agent/config/options.ts';
import { createLogger } from '../../../agent/telemetry/log.ts';
import { temporaryDirectory } from '../cache/support/temporary.ts';

/** The whole agent in this process, without a LAN, until the test has ended; resolves to the port of its local face. */
export async function startAgent(...options: Option[]): Promise<number> {
  const alone: Option[] = [
    ['listen', '127.0.0.1:0'],
    ['cache.dir', await temporaryDirectory()],
    ['lan.discover', 'false'],
    ['lan.advertise', 'false'],
    ['lan.listen', ''],
  ];
  const config = await loadConfig({ env: {}, systemFile: '/nowhere', options: [...alone, ...options] });
  const agent = await createAgent(config, await createLogger('silent'));
  const { urls } = await agent.start();
  onTestFinished(() => agent.stop());
  return Number(new URL(urls[0] ?? '').port);
}
