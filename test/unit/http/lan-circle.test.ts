import { createServer, type RequestListener } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { createAgent } from '../../../agent/agent.ts';
import { loadConfig } from '../../../agent/config/load.ts';
import type { Option } from '../../../agent/config/options.ts';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { printNarinfo } from '../../../agent/nix/narinfo.ts';
import { createLogger } from '../../../agent/telemetry/log.ts';
import { freePort } from '../../e2e/harness/ports.ts';
import { type Sample, sample, storeDir } from '../cache/support/sample.ts';
import { temporaryDirectory } from '../cache/support/temporary.ts';
import { ask, publicKeyText, sharedKey, signed } from './lan-face.ts';

/** An agent that fetches for the LAN, on this port, from these. */
async function startPi(port: number, ...substituters: string[]): Promise<void> {
  const options: Option[] = [
    ['listen', '127.0.0.1:0'],
    ['substituters', substituters.join(' ')],
    ['trusted-public-keys', publicKeyText],
    ['lookup-timeout', '5s'],
    ['stalled-download-timeout', '1s'],
    ['cache.dir', await temporaryDirectory()],
    ['lan.discover', 'false'],
    ['lan.advertise', 'false'],
    ['lan.listen', `127.0.0.1:${port}`],
    ['lan.share-keys', sharedKey.name],
    ['lan.pull-through', 'true'],
  ];
  const config = await loadConfig({ env: {}, systemFile: '/nowhere', options });
  const agent = await createAgent(config, await createLogger('silent'));
  await agent.start();
  onTestFinished(() => agent.stop());
}

/** A substituter with one path. */
async function upstreamOf({ narinfo, file, fileHash }: Sample): Promise<string> {
  const url = `nar/${toBase32(fileHash.digest)}.nar`;
  const text = printNarinfo({ ...narinfo, url, fileHash, fileSize: file.length }, storeDir);
  const answer: RequestListener = (request, response) => {
    if (request.url === '/nix-cache-info') response.end('StoreDir: /nix/store\nPriority: 90\n');
    else if (request.url === `/${narinfo.storePath.hashPart}.narinfo`) response.end(text);
    else if (request.url === `/${url}`) response.end(file);
    else response.writeHead(404).end();
  };
  const port = await freePort();
  const server = createServer(answer).listen(port, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${port}`;
}

it('I10: two that fetch for the LAN, and from each other, do not wait for each other', {
  timeout: 60_000,
}, async () => {
  const wanted = signed(sample({ contents: Buffer.alloc(9_000_000, 'some bytes ') }), [sharedKey]);
  const upstream = await upstreamOf(wanted);
  const [one, other] = [await freePort(), await freePort()];
  await startPi(one, `http://127.0.0.1:${other}`, upstream);
  await startPi(other, `http://127.0.0.1:${one}`, upstream);
  const both = [one, other];

  const began = performance.now();
  const unknown = await Promise.all(both.map((port) => ask(port, `/${'0'.repeat(32)}.narinfo`)));
  expect(unknown.map(({ status }) => status)).toEqual([404, 404]);
  expect(performance.now() - began).toBeLessThan(3_000);

  const { hashPart } = wanted.narinfo.storePath;
  const known = await Promise.all(both.map((port) => ask(port, `/${hashPart}.narinfo`)));
  expect(known.map(({ status }) => status)).toEqual([200, 200]);
  const nars = await Promise.all(both.map((port, n) => ask(port, `/${urlIn(known[n]?.body)}`)));
  const nar = wanted.file;
  for (const { status, body } of nars) expect([status, body.equals(nar)]).toEqual([200, true]);
});

function urlIn(narinfo: Buffer | undefined): string {
  return /^URL: (.*)$/m.exec(narinfo?.toString() ?? '')?.[1] ?? '';
}
