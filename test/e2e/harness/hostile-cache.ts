// A machine in a café: announces itself as the best cache of the LAN, and answers in one bad way. Prints each request as a JSON line.
import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';
import { setInterval } from 'node:timers';
import { createDiscovery } from '../../../discovery/discovery.ts';
import { watchNetwork } from '../../../discovery/network.ts';

/** How its narinfos or NARs are bad; the others are genuine. */
export type Malice = 'wrong-nars' | 'endless-narinfos' | 'slow-narinfos' | 'slow-nars' | 'redirects';

interface Options {
  readonly dir: string;
  readonly malice: Malice;
  readonly port: number;
  /** Where redirects lead. */
  readonly trap: string;
}

const { dir, malice, port, trap }: Options = JSON.parse(process.argv[2] ?? '{}');

type Spoil = (response: ServerResponse, genuine: Buffer) => void;

const spoil: Readonly<Record<Malice, { narinfo?: Spoil; nar?: Spoil }>> = {
  'wrong-nars': {
    nar: (response, genuine) => {
      const wrong = Buffer.from(genuine);
      const middle = wrong.length >> 1;
      wrong[middle] = (wrong[middle] ?? 0) ^ 1;
      response.end(wrong);
    },
  },
  'endless-narinfos': {
    narinfo: (response, genuine) => {
      const more = () => {
        while (!response.destroyed && response.write('Extra: more\n'.repeat(1_000)));
      };
      response.write(genuine);
      response.on('drain', more);
      more();
    },
  },
  'slow-narinfos': { narinfo: slowly },
  'slow-nars': { nar: slowly },
  redirects: { narinfo: misled, nar: misled },
};

function slowly(response: ServerResponse, genuine: Buffer): void {
  let at = 0;
  const timer = setInterval(() => response.write(genuine.subarray(at, ++at)), 1_000);
  response.on('close', () => clearInterval(timer));
  response.setHeader('content-length', genuine.length);
  response.flushHeaders();
}

function misled(response: ServerResponse): void {
  response.writeHead(302, { location: trap }).end();
}

const server = createServer(async (request, response) => {
  const path = request.url ?? '/';
  process.stdout.write(`${JSON.stringify({ path })}\n`);
  if (path === '/nix-cache-info') {
    response.end('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 1\n');
    return;
  }
  const genuine = await readFile(join(dir, normalize(path))).catch(() => undefined);
  const { narinfo, nar } = spoil[malice];
  if (genuine === undefined) response.writeHead(404).end();
  else if (path.endsWith('.narinfo') && narinfo) narinfo(response, genuine);
  else if (path.startsWith('/nar/') && nar) nar(response, genuine);
  else response.end(genuine);
});

server.listen(port, '0.0.0.0', () => {
  const network = watchNetwork();
  const own = { id: 'hostile0', port, hostName: 'free-nix' };
  const discovery = createDiscovery({ network, own, browse: false, verify: async () => ({ ok: true }) });
  network.start();
  discovery.start();
  process.stdout.write(`${JSON.stringify({ path: 'ready' })}\n`);
});
