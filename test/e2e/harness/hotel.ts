// A hotel's network: a name server and a gateway. `silent`: the name server never answers. `portal`: every name is the gateway,
// which sends whoever asks it for anything to its login page. `open`: the gateway serves a cache's directory. A line on stdin changes it.
import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { dnsAnswer } from './name-server.ts';

/** How the hotel is. */
export type Manner = 'silent' | 'portal' | 'open';

const [address = '', dir = ''] = process.argv.slice(2);
let manner: Manner = 'silent';

const names = createSocket('udp4');
names.on('message', (query, { address: asker, port }) => {
  if (manner !== 'silent') names.send(dnsAnswer(query, address), port, asker);
});

const gateway = createServer(async (request, response) => {
  if (manner === 'portal') {
    response.writeHead(302, { location: 'http://login.hotel.example/' }).end('<html>Welcome!</html>');
    return;
  }
  const file = await readFile(join(dir, normalize(request.url ?? '/'))).catch(() => undefined);
  if (file === undefined) response.writeHead(404).end();
  else response.end(file);
});

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'silent' || line === 'portal' || line === 'open') manner = line;
});
names.bind(53, () => gateway.listen(80, '0.0.0.0', () => process.stdout.write('ready\n')));
