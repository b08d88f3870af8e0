import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { portOf } from './ports.ts';
import { type RelayConfig, RelayProcess } from './relay-process.ts';
import { type Outcome, runCommand } from './run-command.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

const main = join(import.meta.dirname, '../../../agent/main.ts');

/** How a set-up differs from one in which all is well. */
export interface Illness {
  /** Lines of nix.conf after those that it should have; or all that it has. */
  readonly nixConf?: string | { readonly instead: string };
  /** The user's own nix.conf. */
  readonly ownNixConf?: string;
  /** Keys of narrowcast's configuration, for agent and command. */
  readonly config?: RelayConfig;
  /** … and for the command alone. */
  readonly commands?: RelayConfig;
  /** Where the agent listens instead of at both loopbacks; false where none runs. */
  readonly agent?: string | false;
  /** Answers at both loopbacks in the agent's place. */
  readonly stranger?: RequestListener;
  /** Answers as the upstream in place of a cache that has nothing. */
  readonly upstream?: RequestListener;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs the command so that it finds its file systems otherwise. */
  readonly enter?: (argv: readonly string[], home: string) => Promise<string[]>;
  /** Done before the command runs. */
  readonly before?: (home: string, relayUrl: string, env: Readonly<Record<string, string>>) => Promise<void>;
}

/** One check of `narrowcast doctor --json`. */
export interface Check {
  readonly name: string;
  readonly verdict: string;
  readonly fact: string;
  readonly cure: readonly string[];
  readonly nixos?: string;
}

/** What the doctor said of a set-up. */
export interface Examination {
  readonly outcome: Outcome;
  readonly checks: readonly Check[];
}

const alone = { discover: false, advertise: false, listen: '' };

/** Makes a set-up with Nix's configuration, an agent and an upstream of its own, and runs `narrowcast doctor` in it. */
export async function examined(
  illness: Illness,
  words: readonly string[] = ['--json'],
): Promise<Examination> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await TemporaryDirectory.create('doctor')).path;
  const upstream = await serve(stack, ['127.0.0.1'], illness.upstream ?? emptyCache);
  const config = {
    substituters: [`http://127.0.0.1:${upstream}`],
    lan: alone,
    cache: { dir: join(home, 'cache') },
    ...illness.config,
  };
  await mkdir(join(home, 'cache'));
  const port = await agentPort(stack, illness, config);
  const relayUrl = `http://localhost:${port}`;
  const env = await nixEnvironment(home, relayUrl, illness);
  const file = join(home, 'narrowcast.toml');
  await writeFile(file, stringify({ ...config, listen: `localhost:${port}`, ...illness.commands }));
  await illness.before?.(home, relayUrl, env);
  const argv = [process.execPath, main, 'doctor', ...words, '--config', file];
  const outcome = await runCommand((await illness.enter?.(argv, home)) ?? argv, { env });
  return { outcome, checks: words.includes('--json') ? JSON.parse(outcome.stdout) : [] };
}

async function agentPort(
  stack: AsyncDisposableStack,
  { agent = 'localhost:0', stranger }: Illness,
  config: RelayConfig,
): Promise<number> {
  if (stranger !== undefined) return await serve(stack, ['127.0.0.1', '::1'], stranger);
  // A port of ours that nobody listens at any more.
  if (agent === false) {
    await using gone = new AsyncDisposableStack();
    return await serve(gone, ['127.0.0.1', '::1'], emptyCache);
  }
  const relay = stack.use(await RelayProcess.start({ ...config, listen: agent }));
  return Number(new URL(relay.url).port);
}

/** A server on one port of these addresses, for as long as the stack lives. */
async function serve(
  stack: AsyncDisposableStack,
  addresses: readonly string[],
  answer: RequestListener,
): Promise<number> {
  let port = 0;
  for (const host of addresses) {
    const server = createServer(answer).listen({ host, port, ipv6Only: true });
    await once(server, 'listening');
    port = portOf(server);
    stack.defer(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
  }
  return port;
}

const emptyCache: RequestListener = ({ url }, response) => {
  if (url === '/nix-cache-info') response.end('StoreDir: /nix/store\n');
  else response.writeHead(404).end();
};

async function nixEnvironment(
  home: string,
  relayUrl: string,
  { nixConf = '', ownNixConf = '', env }: Illness,
): Promise<Readonly<Record<string, string>>> {
  const right = [
    `substituters = ${relayUrl}`,
    'narinfo-cache-negative-ttl = 30',
    'narinfo-cache-positive-ttl = 30',
    'fallback = true',
    'connect-timeout = 5',
    'experimental-features = nix-command',
  ];
  const text = typeof nixConf === 'string' ? [...right, nixConf].join('\n') : nixConf.instead;
  await mkdir(join(home, 'conf'));
  await writeFile(join(home, 'conf/nix.conf'), `${text.replaceAll('RELAY', relayUrl)}\n`);
  await mkdir(join(home, '.config/nix'), { recursive: true });
  await writeFile(join(home, '.config/nix/nix.conf'), `${ownNixConf}\n`);
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    NIX_CONF_DIR: join(home, 'conf'),
    ...env,
  };
}
