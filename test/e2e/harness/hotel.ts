// A hotel's network: a name server and a gateway. `silent`: the name server never answers. `portal`: every name is the gateway,
// which sends whoever asks it for anything to its login page. `open`: the gateway serves a cache's directory. A line on stdin changes it.
import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { createInterface } from 'node:readline';

/** How the hotel is. */
export type Manner = 'silent' | 'portal' | 'open';

const [address = '', dir = ''] = process.argv.slice(2);
let manner: Manner = 'silent';

const names = createSocket('udp4');
names.on('message', (query, { address: asker, port }) => {
  if (manner !== 'silent') names.send(answer(query), port, asker);
});

/** The one question, answered with the gateway when it is for an IPv4 address and with nothing when not (RFC 1035, 4.1). */
function answer(query: Buffer): Buffer {
  const end = query.indexOf(0, 12) + 5;
  const question = query.subarray(12, end);
  const isForAddress = question.readUInt16BE(question.length - 4) === 1;
  const header = Buffer.from([0, 0, 0x81, 0x80, 0, 1, 0, isForAddress ? 1 : 0, 0, 0, 0, 0]);
  query.copy(header, 0, 0, 2);
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)];
  return Buffer.concat([header, question, ...(isForAddress ? [Buffer.from(record)] : [])]);
}

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
