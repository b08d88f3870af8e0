import { type Agent, createAgent } from '../agent.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { NarrowcastError } from '../nix/error.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { serviceManager } from '../telemetry/service-manager.ts';

/** How agent.ts makes an agent, so that tests can bring their own. */
type AgentMaker = (config: Config, log: Logger) => Promise<Agent>;

interface Started {
  readonly agent: Agent;
  readonly urls: readonly string[];
}

/**
 * Runs the agent until SIGINT or SIGTERM, then stops it gracefully. Another signal while it stops ends the process at
 * once, with 130 for SIGINT and 143 for SIGTERM; so does an uncaught error at any time, with 1. SIGUSR2 says that the network
 * changed.
 * @throws ConfigError before anything has started; NarrowcastError when the agent cannot start
 */
export async function serve(sources: ConfigSources, create: AgentMaker = createAgent): Promise<void> {
  const config = await loadConfig(sources);
  const log = await createLogger(config.logLevel);
  exitOnUncaughtError(log);
  const signalled = firstSignal();
  const manager = serviceManager(log);
  let agent: Agent | undefined;
  // Caught from the beginning: the signal that nobody catches would end the process.
  process.on('SIGUSR2', () => agent?.networkChanged());
  const started = await start(config, log, create);
  agent = started.agent;
  manager.ready(`Listening at ${started.urls.join(' and ')}`);
  log.info({ signal: await signalled }, 'stopping');
  manager.stopping();
  await agent.stop();
}

async function start(config: Config, log: Logger, create: AgentMaker): Promise<Started> {
  try {
    const agent = await create(config, log);
    const { urls } = await agent.start();
    for (const url of urls) log.info({ url }, 'listening');
    return { agent, urls };
  } catch (err) {
    log.debug({ err }, 'start failed');
    throw isPortInUse(err) ? portInUse(config, err) : err;
  }
}

function isPortInUse(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && error.code === 'EADDRINUSE') || isPortInUse(error.cause);
}

function portInUse({ listen: { host, port } }: Config, cause: unknown): NarrowcastError {
  const advice = 'stop the program that uses it, or choose another with --option listen localhost:PORT.';
  return new NarrowcastError('port-in-use', `Port ${port} of ${host} is in use: ${advice}`, { cause });
}

function exitOnUncaughtError(log: Logger): void {
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'uncaught error');
    process.exit(1);
  });
}

/** Under `npm start` one Ctrl-C arrives twice, from the terminal and passed on by npm: within this time (ms). */
const sameKeystroke = 250;

/** Resolves at the first signal; a later one that is not the same keystroke ends the process. */
function firstSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let first: number | undefined;
  const handle = (signal: NodeJS.Signals, exitCode: number) => {
    first ??= performance.now();
    if (performance.now() - first > sameKeystroke) process.exit(exitCode);
    resolve(signal);
  };
  process.on('SIGINT', () => handle('SIGINT', 130));
  process.on('SIGTERM', () => handle('SIGTERM', 143));
  return promise;
}
