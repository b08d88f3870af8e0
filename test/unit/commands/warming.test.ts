import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { RelayClient } from '../../../agent/commands/fetch/relay-client.ts';
import { Warming } from '../../../agent/commands/fetch/warming.ts';
import { printCacheInfo } from '../../../agent/nix/cache-info.ts';
import { printNarinfo } from '../../../agent/nix/narinfo.ts';
import { parseStoreBase, type StorePath } from '../../../agent/nix/store-path.ts';
import { HandClock } from './hand-clock.ts';

const storeDir = '/nix/store';
const nar = Buffer.alloc(1_000, 'nar');

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** A path of the stand-in relay. */
interface StandInPath {
  readonly references?: readonly string[];
  readonly compression?: 'bzip2';
  stored?: boolean;
  /** Instead of the NAR, which is stored when it has been sent. */
  readonly nar?: Answer;
}

function pathOf(name: string): StorePath {
  const letter = Buffer.from(name).toString('hex').padEnd(32, '0').slice(0, 32).replaceAll('e', 'w');
  return parseStoreBase(`${letter}-${name}`);
}

/** An HTTP server that answers as the local face does, for these paths. */
async function standIn(paths: Readonly<Record<string, StandInPath>>) {
  const asked: string[] = [];
  const byUrl = new Map<string, { name: string; path: StandInPath }>(
    Object.entries(paths).flatMap(([name, path]) => {
      const { hashPart } = pathOf(name);
      return [
        [`/${hashPart}.narinfo`, { name, path }] as const,
        [`/nar/${hashPart}.nar`, { name, path }] as const,
      ];
    }),
  );
  const server = createServer((request, response) => {
    const { method, url = '' } = request;
    if (url === '/nix-cache-info') return response.end(printCacheInfo({ storeDir, wantMassQuery: true }));
    const { name, path } = byUrl.get(url) ?? {};
    if (path === undefined || name === undefined) return response.writeHead(404).end();
    if (url.endsWith('.narinfo')) return response.end(narinfoOf(name, path));
    asked.push(`${method} ${name}`);
    response.setHeader('cache-status', path.stored ? 'narrowcast; hit' : 'narrowcast; fwd=uri-miss');
    if (method === 'HEAD') return response.end();
    if (path.nar !== undefined) return path.nar(response, request);
    path.stored = true;
    response.end(nar);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : expect.fail('no port');
  const client = new RelayClient(`http://127.0.0.1:${port}`, storeDir);
  onTestFinished(async () => {
    await client.close();
    server.close();
    server.closeAllConnections();
  });
  return { client, server, asked };
}

function narinfoOf(name: string, { references = [], compression }: StandInPath): string {
  const storePath = pathOf(name);
  return printNarinfo(
    {
      storePath,
      url: `nar/${storePath.hashPart}.nar`,
      compression: compression ?? 'none',
      narHash: { algorithm: 'sha256', digest: Buffer.alloc(32, name) },
      narSize: nar.length,
      references: references.map(pathOf),
      signatures: [],
      extra: [],
    },
    storeDir,
  );
}

/** Warms, and tells what became of each path. */
async function warm(
  client: RelayClient,
  names: readonly string[],
  { closure = true, clock = new HandClock() } = {},
) {
  const outcome: Record<string, string> = {};
  let came = 0;
  const warming = new Warming(client, closure, clock, {
    found: () => {},
    came: (bytes) => {
      came += bytes;
    },
    kept: ({ storePath }, fetched) => {
      outcome[storePath.name] = fetched ? 'fetched' : 'there';
    },
    failed: ({ path, why }) => {
      outcome[path.name] = why;
    },
  });
  await warming.run(names.map(pathOf));
  return { outcome, came, paths: warming.paths };
}

test('a closure is walked, each path once, and what is there is not fetched', async () => {
  const { client, asked } = await standIn({
    top: { references: ['top', 'left', 'right'] },
    left: { references: ['base'] },
    right: { references: ['base'], stored: true },
    base: {},
    stranger: {},
  });
  expect(await warm(client, ['top'])).toEqual({
    outcome: { top: 'fetched', left: 'fetched', right: 'there', base: 'fetched' },
    came: 3 * nar.length,
    paths: 4,
  });
  expect(asked.filter((line) => line.startsWith('GET')).sort()).toEqual(['GET base', 'GET left', 'GET top']);
});

test('without the closure only the paths themselves', async () => {
  const { client } = await standIn({ top: { references: ['left'] }, left: {} });
  expect((await warm(client, ['top'], { closure: false })).outcome).toEqual({ top: 'fetched' });
});

test('what nobody has, and what is passed on only, is named, and the rest is fetched', async () => {
  const { client } = await standIn({
    top: { references: ['lost', 'packed'] },
    packed: { compression: 'bzip2', references: ['base'] },
    base: {},
  });
  expect((await warm(client, ['top', 'gone'])).outcome).toEqual({
    top: 'fetched',
    base: 'fetched',
    lost: 'nobody within reach has it',
    gone: 'nobody within reach has it',
    packed: 'its NAR is packed with bzip2, which is passed on and not kept',
  });
});

test('a NAR that is cut is asked for again, three times in all', async () => {
  const clock = new HandClock();
  let left = 2;
  const cut: Answer = (response) => {
    response.writeHead(200, { 'content-length': nar.length });
    response.write(nar.subarray(0, 500));
    setImmediate(() => {
      response.destroy();
      void passSecond();
    });
  };
  // Each cut is followed by a pause of a second, which is over as soon as it has begun.
  const passSecond = async () => {
    while (clock.waiting === 0) await nextTurn();
    clock.advance(1_000);
  };
  const flaky: StandInPath = {
    nar(response, request) {
      if (left-- > 0) return cut(response, request);
      flaky.stored = true;
      response.end(nar);
    },
  };
  const { client, asked } = await standIn({ flaky, hopeless: { nar: cut } });
  expect(await warm(client, ['flaky'], { clock })).toMatchObject({
    outcome: { flaky: 'fetched' },
    came: nar.length,
  });
  const { outcome, came } = await warm(client, ['hopeless'], { clock });
  expect([outcome['hopeless'], came]).toEqual([
    expect.stringMatching(/^The NAR of \w+-hopeless ended after \d+ of 1000 bytes\.$/),
    0,
  ]);
  expect(asked.filter((line) => line.startsWith('GET'))).toEqual(
    ['flaky', 'flaky', 'flaky', 'hopeless', 'hopeless', 'hopeless'].map((name) => `GET ${name}`),
  );
});

test('what comes and is not kept fails, and three times end it all', async () => {
  const unkept: StandInPath = { nar: (response) => response.end(nar) };
  const { client } = await standIn({ a: unkept, b: unkept, c: unkept });
  expect((await warm(client, ['a'])).outcome).toEqual({ a: 'it came, and is not in the cache' });
  await expect(warm(client, ['a', 'b', 'c'])).rejects.toMatchObject({ code: 'nothing-kept' });
});

test('a relay that goes away ends it', async () => {
  const { client, server } = await standIn({
    top: {
      nar() {
        server.close();
        server.closeAllConnections();
      },
    },
  });
  await expect(warm(client, ['top'])).rejects.toMatchObject({ code: 'relay-gone' });
});
