import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { largeClosure } from '../fixtures/closure.ts';
import { Nginx } from './harness/nginx.ts';
import { freePort } from './harness/ports.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const main = join(import.meta.dirname, '../../agent/main.ts');

/** As systemd does: keeps the sockets, and starts the agent anew whenever it ends. It tells each one's process id. */
const supervise = `while :; do sh -c 'echo "{\\"msg\\":\\"started\\",\\"pid\\":$$}" && LISTEN_PID=$$ exec "$@"' sh "$@"; done`;

/** The agent behind systemd-socket-activate: the first connection starts it, and it is started again whenever it ends. */
class ActivatedAgent implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #directory: TemporaryDirectory;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(child: ChildProcess, directory: TemporaryDirectory) {
    this.#child = child;
    this.#directory = directory;
    for (const output of [child.stdout, child.stderr]) {
      if (output === null) continue;
      createInterface({ input: output }).on('line', (line) => {
        this.#lines.push(line);
        for (const check of this.#waiting) check();
      });
    }
  }

  static async start(addresses: readonly string[], config: object): Promise<ActivatedAgent> {
    const directory = await TemporaryDirectory.create('activated');
    const file = join(directory.path, 'config.toml');
    const lan = { discover: false, advertise: false, listen: '' };
    await writeFile(file, stringify({ lan, cache: { dir: join(directory.path, 'cache') }, ...config }));
    const sockets = addresses.map((address) => `--listen=${address}`);
    const agent = [process.execPath, main, 'serve', '--config', file];
    const child = spawn(
      'systemd-socket-activate',
      [...sockets, '--fdname=local:local', 'sh', '-c', supervise, 'sh', ...agent],
      {
        env: { PATH: process.env['PATH'], HOME: directory.path },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const activated = new ActivatedAgent(child, directory);
    await activated.until('Listening on', addresses.length);
    return activated;
  }

  /** What was said so far. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Waits for the nth line with this text. */
  async until(text: string, nth = 1): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const check = () => {
      const line = this.#lines.filter((said) => said.includes(text))[nth - 1];
      if (line !== undefined) resolve(line);
    };
    this.#waiting.add(check);
    check();
    const line = await promise;
    this.#waiting.delete(check);
    return line;
  }

  /** The nth process of the agent. */
  async pid(nth: number): Promise<number> {
    return JSON.parse(await this.until('"started"', nth)).pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
    const started = this.#lines.filter((line) => line.includes('"started"')).length;
    if (started > 0) process.kill(await this.pid(started), 'SIGKILL');
    await this.#directory[Symbol.asyncDispose]();
  }
}

/** Opens one connection after another to both addresses until it is stopped, and tells how that went. */
function probe(port: number) {
  let stopped = false;
  const outcomes = new Map<string, number>();
  const connect = async (host: string) => {
    const socket = createConnection({ host, port });
    const outcome = await once(socket, 'connect').then(
      () => 'connected',
      (error: Error) => error.message,
    );
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    socket.destroy();
  };
  const run = async () => {
    while (!stopped) {
      await connect('127.0.0.1');
      await connect('::1');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const ended = run();
  return async () => {
    stopped = true;
    await ended;
    return outcomes;
  };
}

describe('behind systemd-socket-activate', () => {
  test('the first connection starts the agent and is answered, and the next on the other address', async () => {
    const port = await freePort();
    await using agent = await ActivatedAgent.start([`127.0.0.1:${port}`, `[::1]:${port}`], {
      substituters: [],
    });
    expect(agent.lines.filter((line) => line.includes('started'))).toEqual([]);
    const first = await fetch(`http://[::1]:${port}/nix-cache-info`);
    expect(await first.text()).toContain('StoreDir: /nix/store\n');
    expect(JSON.parse(await agent.until('"listening"'))).toMatchObject({ url: `http://localhost:${port}` });
    expect((await fetch(`http://127.0.0.1:${port}/nix-cache-info`)).status).toBe(200);
  });

  test('after SIGTERM the next agent answers what came meanwhile', async () => {
    const port = await freePort();
    await using agent = await ActivatedAgent.start([`127.0.0.1:${port}`], { substituters: [] });
    // Not kept alive: the next request is to make a connection of its own.
    await fetch(`http://127.0.0.1:${port}/nix-cache-info`, { headers: { connection: 'close' } });
    process.kill(await agent.pid(1), 'SIGTERM');
    await agent.until('"stopping"');
    expect((await fetch(`http://127.0.0.1:${port}/nix-cache-info`)).status).toBe(200);
    await agent.until('"listening"', 2);
  });

  test('I9: a socket that others can reach is refused', async () => {
    const port = await freePort();
    await using agent = await ActivatedAgent.start([`0.0.0.0:${port}`], { substituters: [] });
    const socket = createConnection(port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    expect(await agent.until('narrowcast: ')).toBe(
      'narrowcast: The socket local (file descriptor 3) is not a TCP socket on a loopback address: correct ListenStream= of its unit',
    );
  });

  skippable(test, privateStoreSkipReason())(
    'killed three times under load of real Nix, no connection is refused and the copy ends well',
    { timeout: 120_000 },
    async () => {
      const fixture = await largeClosure();
      await using nginx = await Nginx.start(fixture.dir);
      const port = await freePort();
      await using agent = await ActivatedAgent.start([`127.0.0.1:${port}`, `[::1]:${port}`], {
        substituters: [nginx.url],
        'trusted-public-keys': [fixture.publicKey],
        'log-level': 'debug',
      });
      await using store = await PrivateStore.create({
        options: { substituters: '', 'trusted-public-keys': fixture.publicKey },
      });

      const stopProbe = probe(port);
      let copied = false;
      const copy = store
        .mustRun(['nix', 'copy', '--from', `http://localhost:${port}`, fixture.top])
        .finally(() => {
          copied = true;
        });
      for (const [nth, answers] of [20, 70, 110].entries()) {
        await Promise.race([agent.until('"request"', answers), copy]);
        expect(copied).toBe(false);
        process.kill(await agent.pid(nth + 1), 'SIGKILL');
      }
      await copy;
      expect(await agent.pid(4)).toBeGreaterThan(0);
      expect([...(await stopProbe()).keys()]).toEqual(['connected']);
      await store.mustVerify(fixture.paths);
    },
  );
});
