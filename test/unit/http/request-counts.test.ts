import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import * as v from 'valibot';
import { expect, it, onTestFinished } from 'vitest';
import { type Stats, statsSchema } from '../../../agent/http/stats-schema.ts';
import { cacheFiles, narinfoPath, type Sample, signedSample } from '../source/support/cache-files.ts';
import { type Reply, ScriptedServer, text } from '../source/support/scripted-server.ts';
import { startAgent } from './agent-here.ts';
import { ask, publicKeyText, sharedKey } from './lan-face.ts';

/** For what happens at once, unless the machine is busy. */
const soon = { timeout: 20_000 };
const key = { secret: sharedKey, trusted: new Map() };

/** An agent whose only upstream has one path, whose NAR it answers as told. */
async function scene(one: Sample, nar: Reply) {
  const files = cacheFiles([one]);
  const server = await ScriptedServer.start((request, response) => {
    const path = request.url ?? '';
    const file = files.get(path);
    if (path === `/${one.narinfo.url}`) return nar(request, response);
    if (file === undefined) return text(404)(request, response);
    response.writeHead(200, { 'content-length': file.length }).end(file);
  });
  onTestFinished(() => server.stop());
  const port = await startAgent(
    ['substituters', server.url.href],
    ['trusted-public-keys', publicKeyText],
    ['stalled-download-timeout', '1s'],
  );
  const narinfo = (await ask(port, narinfoPath(one))).body.toString();
  const path = `/${/^URL: (.*)$/m.exec(narinfo)?.[1]}`;
  const stats = async (): Promise<Stats> =>
    v.parse(statsSchema, JSON.parse((await ask(port, '/stats?since=2000-01-01')).body.toString()));
  const last = async () => (await stats()).recent?.requests.at(-1);
  return { server, port, path, stats, last };
}

/** Begins a download and resolves to its answer. */
async function begin(port: number, path: string): Promise<IncomingMessage> {
  const request = get({ host: '127.0.0.1', port, path, agent: false });
  request.on('error', () => {});
  const [response]: IncomingMessage[] = await once(request, 'response');
  if (response === undefined) throw new Error('no response');
  response.on('error', () => {});
  return response;
}

it('a NAR that its source no longer has is absent, and says why', async () => {
  const { port, path, last, stats } = await scene(signedSample(key), text(404));
  expect((await ask(port, path)).status).toBe(404);
  expect(await last()).toMatchObject({ kind: 'nar', result: 'absent', source: null, bytes: 0 });
  expect((await last())?.reason).toMatch(/^No source has the NAR of /);
  const { nar } = (await stats()).sinceStart;
  expect(nar).toMatchObject({ requests: 1, hits: 0, misses: 0, absent: 1, failed: 0 });
  expect(Object.values(nar.bySource)).toMatchObject([{ transfers: 0, failed: 1 }]);
});

it('a NAR that its client leaves is neither', async () => {
  const one = signedSample(key, { contents: randomBytes(8 * 1024 * 1024) });
  const { port, path, last, stats } = await scene(one, (_, response) => {
    response.writeHead(200, { 'content-length': one.file.length });
    response.write(one.file.subarray(0, 6 * 1024 * 1024));
  });
  const response = await begin(port, path);
  await once(response, 'data');
  response.destroy();
  await expect.poll(async () => (await last())?.result, soon).toBe('left');
  expect((await last())?.bytes).toBeGreaterThan(0);
  expect((await stats()).sinceStart.nar).toMatchObject({
    requests: 1,
    hits: 0,
    misses: 0,
    absent: 0,
    failed: 0,
  });
});

it('a NAR that nobody can end has failed', async () => {
  const one = signedSample(key, { contents: randomBytes(8 * 1024 * 1024) });
  const { server, port, path, last, stats } = await scene(one, (_, response) => {
    response.writeHead(200, { 'content-length': one.file.length });
    response.write(one.file.subarray(0, 6 * 1024 * 1024), () => {
      response.destroy();
      void server.stop();
    });
  });
  const response = await begin(port, path);
  response.resume();
  await new Promise((resolve) => response.once('close', resolve));
  expect(response.complete).toBe(false);
  await expect.poll(last, soon).toMatchObject({ result: 'failed', reason: expect.stringMatching(/was cut/) });
  expect((await stats()).sinceStart.nar).toMatchObject({ requests: 1, misses: 0, failed: 1 });
});

it('a NAR that only Nix can decode is counted like any other', async () => {
  const plain = signedSample(key);
  const one = { ...plain, narinfo: { ...plain.narinfo, compression: 'bzip2' as const } };
  const { port, path, last, stats } = await scene(one, (_, response) => void response.end(one.file));
  expect(path).toMatch(/\.bz2$/);
  expect((await ask(port, path)).body.length).toBe(one.file.length);
  expect(await last()).toMatchObject({ result: 'miss', bytes: one.file.length, origin: 'upstream' });
  const { nar, bytes } = (await stats()).sinceStart;
  expect(nar).toMatchObject({ requests: 1, misses: 1 });
  expect(bytes.fromUpstream).toBeGreaterThan(one.file.length);
});
