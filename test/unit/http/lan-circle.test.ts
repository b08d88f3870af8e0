import { createServer, request as httpRequest, type RequestListener } from 'node:http';
import { setTimeout as passed } from 'node:timers/promises';
import * as v from 'valibot';
import { expect, it, onTestFinished } from 'vitest';
import { createAgent } from '../../../agent/agent.ts';
import { loadConfig } from '../../../agent/config/load.ts';
import type { Option } from '../../../agent/config/options.ts';
import { statsSchema } from '../../../agent/http/stats-schema.ts';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { printNarinfo } from '../../../agent/nix/narinfo.ts';
import { createLogger } from '../../../agent/telemetry/log.ts';
import { freePort } from '../../e2e/harness/ports.ts';
import { type Sample, sample, storeDir } from '../cache/support/sample.ts';
import { temporaryDirectory } from '../cache/support/temporary.ts';
import { ask, publicKeyText, sharedKey, signed } from './lan-face.ts';

/** An agent that fetches for the LAN, on this port, from these and what else is said. The result waits until it knows all as up. */
async function startPi(port: number, substituters: string[], ...more: Option[]) {
  const options: Option[] = [
    ['listen', '127.0.0.1:0'],
    ['substituters', substituters.join(' ')],
    ['trusted-public-keys', publicKeyText],
    ['lookup-timeout', '5s'],
    ['cache.dir', await temporaryDirectory()],
    ['lan.discover', 'false'],
    ['lan.advertise', 'false'],
    ['lan.listen', `127.0.0.1:${port}`],
    ['lan.share-keys', sharedKey.name],
    ['lan.pull-through', 'true'],
    ...more,
  ];
  const config = await loadConfig({ env: {}, systemFile: '/nowhere', options });
  const agent = await createAgent(config, await createLogger('silent'));
  const { urls } = await agent.start();
  onTestFinished(() => agent.stop());
  return async () => {
    agent.networkChanged();
    const up = async () => {
      const stats = v.parse(statsSchema, await (await fetch(`${urls[0]}/stats`)).json());
      return stats.sources.every(({ health }) => health === 'up');
    };
    await expect.poll(up, { timeout: 10_000 }).toBe(true);
  };
}

/** A substituter with one path, whose narinfo it gives so much later to whom asks on its own behalf, in ms. */
async function upstreamOf(
  { narinfo, file, fileHash }: Sample,
  later = 0,
): Promise<{ url: string; nars: number }> {
  const url = `nar/${toBase32(fileHash.digest)}.nar`;
  const text = printNarinfo({ ...narinfo, url, fileHash, fileSize: file.length }, storeDir);
  const upstream = { url: '', nars: 0 };
  upstream.url = await serve(async (request, response) => {
    if (request.url === '/nix-cache-info') response.end('StoreDir: /nix/store\nPriority: 90\n');
    else if (request.url === `/${narinfo.storePath.hashPart}.narinfo`) {
      if (!request.headers.via?.includes(',')) await passed(later);
      response.end(text);
    } else if (request.url === `/${url}`) {
      upstream.nars += 1;
      response.end(file);
    } else response.writeHead(404).end();
  });
  return upstream;
}

it('I10: two that fetch for the LAN, and from each other, do not wait for each other', {
  timeout: 60_000,
}, async () => {
  const wanted = signed(sample({ contents: Buffer.alloc(9_000_000, 'some bytes ') }), [sharedKey]);
  const upstream = await upstreamOf(wanted);
  const [one, other] = [await freePort(), await freePort()];
  await startPi(one, [`http://127.0.0.1:${other}`, upstream.url], ['stalled-download-timeout', '1s']);
  await startPi(other, [`http://127.0.0.1:${one}`, upstream.url], ['stalled-download-timeout', '1s']);
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

it('I10: of two that begin the same NAR from each other at the same instant, one goes elsewhere soon, and the other takes it from there', {
  timeout: 100_000,
}, async () => {
  const wanted = signed(sample({ contents: Buffer.alloc(9_000_000, 'some bytes ') }), [sharedKey]);
  const upstream = await upstreamOf(wanted, 200);
  const [one, other] = [await freePort(), await freePort()];
  const meeting = { narinfo: meetingOf(2), nar: meetingOf(2) };
  const ready = [
    await startPi(one, [await wireTo(other, meeting), upstream.url]),
    await startPi(other, [await wireTo(one, meeting), upstream.url]),
  ];
  for (const know of ready) await know();
  const both = [one, other];

  const { hashPart } = wanted.narinfo.storePath;
  const known = await Promise.all(both.map((port) => ask(port, `/${hashPart}.narinfo`)));
  const began = performance.now();
  const nars = await Promise.all(both.map((port, n) => ask(port, `/${urlIn(known[n]?.body)}`)));
  expect(performance.now() - began).toBeLessThan(9_000);
  for (const { status, body } of nars) expect([status, body.equals(wanted.file)]).toEqual([200, true]);
  expect(upstream.nars).toBe(1);
});

/** Resolves, for each who comes, when so many have come. */
function meetingOf(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let there = 0;
  return () => {
    there += 1;
    if (there === count) resolve();
    return promise;
  };
}

/** A way to an agent on which what another asks on its own behalf waits until both ask. The result is its URL. */
async function wireTo(to: number, meeting: Record<'narinfo' | 'nar', () => Promise<void>>): Promise<string> {
  return await serve(async (request, response) => {
    const { url: path = '', headers } = request;
    const kind = path.startsWith('/nar/') ? 'nar' : 'narinfo';
    if (path !== '/nix-cache-info' && !headers.via?.includes(',')) await meeting[kind]();
    const onward = httpRequest({ host: '127.0.0.1', port: to, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy()).end();
    response.on('close', () => onward.destroy());
  });
}

/** Serves until the test has ended; resolves to the URL. */
async function serve(answer: RequestListener): Promise<string> {
  const port = await freePort();
  const server = createServer(answer).listen(port, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${port}`;
}

function urlIn(narinfo: Buffer | undefined): string {
  return /^URL: (.*)$/m.exec(narinfo?.toString() ?? '')?.[1] ?? '';
}
