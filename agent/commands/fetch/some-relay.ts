import { createAgent } from '../../agent.ts';
import type { Config } from '../../config/schema.ts';
import { createLogger } from '../../telemetry/log.ts';
import { RelayClient, RelayError } from './relay-client.ts';

/** A relay to fetch through, and what is to be done when it is no longer needed. */
export interface SomeRelay {
  readonly client: RelayClient;
  /** Whether it runs in this process. */
  readonly own: boolean;
  close(): Promise<void>;
}

/**
 * The agent that runs at `listen`, else an agent of our own, which serves nobody but us: on a port that the system chooses, and not
 * on the LAN.
 * @throws RelayError `relay-foreign` when something else is at `listen`; CacheError when the cache directory is another agent's
 */
export async function someRelay(config: Config): Promise<SomeRelay> {
  return (await runningRelay(config)) ?? (await ownRelay(config));
}

async function runningRelay({ listen: { host, port }, storeDir }: Config): Promise<SomeRelay | undefined> {
  if (port === 0) return undefined;
  const client = new RelayClient(`http://${host}:${port}`, storeDir);
  try {
    await client.greet();
    return { client, own: false, close: () => client.close() };
  } catch (error) {
    await client.close();
    if (error instanceof RelayError && error.code === 'relay-gone') return undefined;
    throw error;
  }
}

async function ownRelay(config: Config): Promise<SomeRelay> {
  const { logLevel, lan, listen, storeDir } = config;
  // What an agent tells at its start is of no interest here, only what goes wrong.
  const log = await createLogger(logLevel === 'info' ? 'error' : logLevel);
  const agent = await createAgent(
    {
      ...config,
      listen: { ...listen, port: 0 },
      lan: { ...lan, listen: undefined, advertise: false, pullThrough: false },
    },
    log,
  );
  const { urls } = await agent.start();
  const [url = ''] = urls;
  const client = new RelayClient(url, storeDir);
  return {
    client,
    own: true,
    async close() {
      await client.close();
      await agent.stop();
    },
  };
}
