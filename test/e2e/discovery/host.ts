// A machine of the test: runs discovery, and a cache where it is told a port. Prints one JSON line for each event.
import { createServer, get } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { createDiscovery } from '../../../discovery/discovery.ts';
import { watchNetwork } from '../../../discovery/network.ts';
import type { Verdict } from '../../../discovery/verify.ts';

const { id, port, announce, browse, staticPeers } = JSON.parse(process.argv[2] ?? '{}');

function print(event: string, more: object = {}): void {
  process.stdout.write(`${JSON.stringify({ at: Date.now(), event, ...more })}\n`);
}

function verify(url: string, signal: AbortSignal): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const request = get(new URL('nix-cache-info', url), { signal, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > 4_096) request.destroy(new Error('too long'));
      });
      response.on('end', () => {
        const isCache = response.statusCode === 200 && /^StoreDir: \/nix\/store$/m.test(text);
        resolve(isCache ? { ok: true } : { ok: false, reason: `not a cache for /nix/store` });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

const server = createServer((request, response) => {
  print('asked', { path: request.url });
  response.end('StoreDir: /nix/store\nWantMassQuery: 1\n');
});
if (port) await new Promise<void>((resolve) => server.listen(port, '0.0.0.0', resolve));

const network = watchNetwork();
const discovery = createDiscovery({
  network,
  verify,
  announce: announce ?? true,
  browse: browse ?? true,
  staticPeers: staticPeers ?? [],
  ...(port ? { own: { id, port, hostName: id } } : {}),
});
discovery.on('peer up', ({ url, name, origin, announced }) =>
  print('up', { url, name, origin, announced: Object.fromEntries(announced) }),
);
discovery.on('peer down', ({ url, reason }) => print('down', { url, reason }));
discovery.on('network changed', (change) => print('network', { change, online: network.online }));
discovery.on('trouble', ({ code, message }) => print('trouble', { code, message }));
discovery.on('recovered', (code) => print('recovered', { code }));

const delay = monitorEventLoopDelay({ resolution: 5 });
let held = 0;

/** CPU time of the main thread, in ms. */
function cpuTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** Watches how late the event loop comes round: by the clock, and by the CPU time that it spends before it does. */
function watchDelay(): void {
  delay.enable();
  let last = cpuTime();
  setInterval(() => {
    const now = cpuTime();
    held = Math.max(held, now - last);
    last = now;
  }, 5).unref();
}

const commands: Record<string, (argument: string) => void> = {
  doubt: (url) => discovery.doubt(url),
  peers: () => print('peers', { peers: discovery.peers }),
  measure: () => {
    const { user, system } = process.cpuUsage();
    print('measured', {
      rss: process.memoryUsage.rss(),
      delay: delay.max / 1e6,
      held,
      cpu: (user + system) / 1_000,
    });
  },
  watchDelay,
  stop: () => {
    discovery.stop().then(() => {
      network.stop();
      server.closeAllConnections();
      server.close(() => process.exit(0));
    });
  },
};
createInterface({ input: process.stdin }).on('line', (line) => {
  const [command = '', argument = ''] = line.split(' ');
  commands[command]?.(argument);
});

network.start();
discovery.start();
print('started', { online: network.online });
