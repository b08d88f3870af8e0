import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test, vi } from 'vitest';
import { createLogger } from '../../../agent/telemetry/log.ts';
import { serviceManager } from '../../../agent/telemetry/service-manager.ts';
import { dir, exitOf, logOf, main, node } from '../commands/narrowcast.ts';

afterEach(() => {
  vi.useRealTimers();
});

/** Node has no datagram sockets of the Unix family, so Python plays systemd's end: every message becomes a line of JSON. */
const observer = `
import json, socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
print(json.dumps(["bound"]), flush=True)
while True:
    message = manager.recv(4096).decode().splitlines()
    if message != ["BARRIER=1"]:  # systemd-notify's own
        print(json.dumps(message), flush=True)
`;

async function observe(path: string) {
  const child = spawn('python3', ['-c', observer, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string[]> => JSON.parse((await lines.next()).value ?? '[]');
  expect(await next()).toEqual(['bound']);
  return {
    next,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** `narrowcast serve` with these variables in its environment. */
function serve(name: string, env: NodeJS.ProcessEnv) {
  const options = { listen: 'localhost:0', 'lan.listen': '', 'lan.discover': 'false', substituters: '' };
  const words = Object.entries({ ...options, 'cache.dir': join(dir, name) });
  const child = node([main, 'serve', ...words.flatMap(([key, value]) => ['--option', key, value])], env);
  return { child, log: logOf(child) };
}

test('systemd learns that the agent is ready, where it listens, and that it stops', async () => {
  const NOTIFY_SOCKET = join(dir, 'whole.sock');
  await using manager = await observe(NOTIFY_SOCKET);
  const { child, log } = serve('whole', { NOTIFY_SOCKET });
  const { url } = await log.until('listening');
  expect(await manager.next()).toEqual(['READY=1', `STATUS=Listening at ${url}`]);
  child.kill('SIGTERM');
  expect(await manager.next()).toEqual(['STOPPING=1']);
  expect(await exitOf(child)).toBe(0);
});

test.each([
  ['twice per WatchdogSec', { WATCHDOG_USEC: '400000' }, 3],
  ['twice per WatchdogSec of its own', { WATCHDOG_USEC: '400000', WATCHDOG_PID: String(process.pid) }, 3],
  ['never, for there is no watchdog', {}, 0],
  ['never, for the watchdog is for another process', { WATCHDOG_USEC: '400000', WATCHDOG_PID: '1' }, 0],
  ['never, for WATCHDOG_USEC is no number', { WATCHDOG_USEC: '400ms' }, 0],
])('between start and stop it hears that the agent is alive %s', async (name, env, times) => {
  const NOTIFY_SOCKET = join(dir, `${name}.sock`);
  await using observed = await observe(NOTIFY_SOCKET);
  vi.useFakeTimers({ toFake: ['setInterval'] });
  const manager = serviceManager(await createLogger('silent'), { ...process.env, NOTIFY_SOCKET, ...env });
  manager.ready('well');
  expect(await observed.next()).toEqual(['READY=1', 'STATUS=well']);
  vi.advanceTimersByTime(699);
  for (let nth = 1; nth <= times; nth += 1) expect(await observed.next()).toEqual(['WATCHDOG=1']);
  manager.stopping();
  expect(await observed.next()).toEqual(['STOPPING=1']);
});

test.each([
  ['there is no systemd-notify', { PATH: dir, NOTIFY_SOCKET: join(dir, 'absent.sock') }, 'ENOENT'],
  ['nobody listens', { NOTIFY_SOCKET: join(dir, 'absent.sock') }, 'it ended with 1'],
])('when %s, one warning is logged and the agent serves on', async (name, env, reason) => {
  const { child, log } = serve(name, { ...env, WATCHDOG_USEC: '100000' });
  const { url } = await log.until('listening');
  const warning = await log.until('systemd-notify failed: the service manager does not know how we are');
  expect(warning).toMatchObject({ level: 'warn', reason: expect.stringContaining(reason) });
  expect((await fetch(`${url}/nix-cache-info`)).status).toBe(200);
  child.kill('SIGTERM');
  expect((await log.toEnd()).filter(({ level }) => level === 'warn')).toHaveLength(1);
  expect(await exitOf(child)).toBe(0);
});
