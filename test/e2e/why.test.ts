import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import * as v from 'valibot';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ExplainedSource, type Explanation, explanationSchema } from '../../agent/relay/explanation.ts';
import { type MadeClosure, makeClosure } from './harness/made-closure.ts';
import { portOf } from './harness/ports.ts';
import { Random } from './harness/random.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { type Outcome, runCommand } from './harness/run-command.ts';
import { field, signedAnew, unknownKey, withFields } from './harness/spoiled-narinfo.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const main = join(import.meta.dirname, '../../agent/main.ts');
const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

let closure: MadeClosure;
let base: string;
let hashPart: string;

/** What each cache beneath the server answers for the path's narinfo, made from the true one; undefined is 404. */
const spoilt: Readonly<Record<string, (narinfo: string) => string | undefined>> = {
  right: (narinfo) => narinfo,
  unsigned: (narinfo) => withFields(narinfo, { Sig: undefined }),
  stranger: (narinfo) => signedAnew(narinfo, unknownKey('stranger-1')),
  forged: (narinfo) => withFields(narinfo, { Sig: `made-1:${'A'.repeat(86)}==` }),
  // What a signature does not cover may differ, and unsigned it is believed where the NAR is the same.
  elsewhere: (narinfo) =>
    withFields(narinfo, { Sig: `made-1:${'A'.repeat(86)}==`, NarHash: `sha256:${'0'.repeat(52)}` }),
  without: () => undefined,
  login: () => '<html>Welcome</html>\n',
};

beforeAll(async () => {
  const directory = stack.use(await TemporaryDirectory.create('why'));
  closure = await makeClosure(directory.path, [50_000], new Random(7));
  hashPart = closure.top.slice('/nix/store/'.length).slice(0, 32);
  const narinfo = await readFile(join(closure.dir, `${hashPart}.narinfo`), 'utf8');
  const nar = await readFile(join(closure.dir, field(narinfo, 'URL')));
  const server = createServer(({ url = '' }, response) => {
    const [, cache = '', file = ''] = /^\/(\w+)\/(.*)$/.exec(url) ?? [];
    if (cache === 'silent') return;
    const text =
      file === 'nix-cache-info'
        ? 'StoreDir: /nix/store\n'
        : file.endsWith('.narinfo')
          ? spoilt[cache]?.(narinfo)
          : undefined;
    if (text !== undefined) response.end(text);
    else if (file === field(narinfo, 'URL')) response.end(nar);
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${portOf(server)}`;
  stack.defer(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
});

/** `narrowcast why` with these words, of the agent at that port. */
async function why(port: string, ...words: readonly string[]): Promise<Outcome> {
  await using home = await TemporaryDirectory.create('why-home');
  const file = join(home.path, 'narrowcast.toml');
  await writeFile(file, `listen = "localhost:${port}"\n`);
  return await runCommand([process.execPath, main, 'why', ...words, '--config', file], {
    env: { PATH: process.env['PATH'] ?? '', HOME: home.path },
  });
}

async function explained(port: string, path: string): Promise<Explanation> {
  const { code, stdout, stderr } = await why(port, path, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return v.parse(explanationSchema, JSON.parse(stdout));
}

async function startRelay(substituters: readonly string[], peers: readonly string[] = []) {
  const relay = await RelayProcess.start({
    substituters,
    'trusted-public-keys': [closure.publicKey],
    'lookup-timeout': '2s',
    lan: { discover: false, advertise: false, listen: '', peers },
  });
  return { relay, port: new URL(relay.url).port };
}

test('tells of every source what it has, and why it is taken or not', async () => {
  const dead = 'http://127.0.0.1:9';
  const caches = ['right', 'unsigned', 'stranger', 'forged', 'elsewhere', 'without', 'login', 'silent'];
  const substituters = [
    ...caches.map((name, n) => `${base}/${name}?priority=${n + 1}`),
    `${dead}?priority=99`,
  ];
  const { relay, port } = await startRelay(substituters);
  await using _ = relay;
  await expect
    .poll(
      async () =>
        (await explained(port, hashPart)).sources.map(({ health }) => health).filter((one) => one === 'down')
          .length,
      {
        timeout: 20_000,
      },
    )
    .toBe(2);

  const { path, from, stored, sources } = await explained(port, closure.top);
  expect(path).toMatchObject({ storePath: closure.top, trustedBy: 'made-1', references: 0 });
  expect([from, stored]).toEqual([`${base}/right`, null]);
  const of = (name: string): ExplainedSource | undefined =>
    sources.find(({ id }) => id === name || id === `${base}/${name}`);
  const said = (name: string) => [of(name)?.verdict, of(name)?.why];
  expect(said('right')).toEqual(['chosen', expect.stringContaining('of the upstreams it comes first')]);
  expect(said('unsigned')).toEqual(['spare', expect.stringContaining('/right comes first')]);
  expect(said('elsewhere')).toEqual([
    'refused',
    expect.stringContaining('The signature by made-1 is wrong, and has another NAR'),
  ]);
  expect(said('without')).toEqual(['absent', 'It does not have the path.']);
  expect(said('login')).toEqual(['unknown', expect.stringContaining('is not what its name says')]);
  expect(said('silent')).toEqual([
    'unknown',
    expect.stringMatching(/^It has been down for \d+ s: .* went silent/),
  ]);
  expect(said(dead)).toEqual(['unknown', expect.stringMatching(/^It has been down for .*ECONNREFUSED/)]);
  const worth = (name: string) => of(name)?.file?.signatures;
  expect(worth('right')).toEqual([{ key: 'made-1', worth: 'trusted' }]);
  expect(worth('unsigned')).toEqual([]);
  expect(worth('stranger')).toEqual([{ key: 'stranger-1', worth: 'unknown' }]);
  expect(worth('forged')).toEqual([{ key: 'made-1', worth: 'wrong' }]);
  expect(of('right')?.file).toMatchObject({
    compression: closure.paths[0]?.compression,
    fileSize: closure.paths[0]?.fileSize,
    narSize: closure.paths[0]?.narSize,
    narHash: closure.paths[0]?.narHash,
  });
});

test('tells why nothing is believed where nobody is to be', async () => {
  const { relay, port } = await startRelay([`${base}/unsigned`, `${base}/stranger`, `${base}/forged`]);
  await using _ = relay;
  const { path, from, sources } = await explained(port, closure.top);
  expect([path, from]).toEqual([null, null]);
  expect(sources.map(({ verdict, why }) => [verdict, why])).toEqual(
    expect.arrayContaining([
      ['refused', 'It is not signed.'],
      ['refused', 'It is signed by stranger-1, which is not among trusted-public-keys.'],
      ['refused', 'The signature by made-1 is wrong.'],
    ]),
  );
});

test('puts the LAN before upstreams, and the cache directory before both', async () => {
  const { relay, port } = await startRelay([`${base}/right`], [`${base}/unsigned`]);
  await using _ = relay;
  const verdicts = async () =>
    (await explained(port, hashPart)).sources.map(({ id, verdict }) => [id, verdict]);
  const near = [
    [`${base}/unsigned`, 'chosen'],
    [`${base}/right`, 'spare'],
  ];
  await expect.poll(verdicts, { timeout: 15_000 }).toEqual(near);
  const nar = await fetch(`${relay.url}/${hashPart}.narinfo`).then(async (answer) =>
    field(await answer.text(), 'URL'),
  );
  expect((await fetch(`${relay.url}/${nar}`)).status).toBe(200);
  await expect.poll(async () => (await explained(port, hashPart)).from, { timeout: 15_000 }).toBe('disk');

  const { code, stdout } = await why(port, closure.top);
  expect(code).toBe(0);
  expect(stdout).toContain(`${closure.top}\n`);
  expect(stdout).toContain('believed as signed by made-1.');
  expect(stdout).toContain('It would come from the cache directory.\n');
  expect(stdout).toMatch(
    /^✓ http:\S+\/right\n {4}The cache directory has it already\.\n {4}\w+, .*; signed by made-1 \(✓\)$/m,
  );
  expect(stdout).not.toContain('\u001b');
});

test('asks an agent that is not there, and what is no path, with a sentence', async () => {
  const nobody = await why('9', hashPart);
  expect([nobody.code, nobody.stdout]).toEqual([1, '']);
  expect(nobody.stderr).toContain('No narrowcast answers at http://localhost:9');
  const nothing = await why('9', 'hello');
  expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringContaining('not directly in the store')]);
});

test('is for this machine and for paths', async () => {
  const { relay } = await startRelay([`${base}/right`]);
  await using _ = relay;
  const ask = async (path: string, options: RequestInit = {}) =>
    (await fetch(`${relay.url}${path}`, options)).status;
  expect(await ask(`/why/${hashPart}`)).toBe(200);
  expect(await ask(`/why/${hashPart}`, { method: 'POST' })).toBe(405);
  for (const path of ['/why', '/why/', `/why/${hashPart}x`, `/why/${'e'.repeat(32)}`])
    expect(await ask(path)).toBe(404);
  const rebound = await runCommand([
    'curl',
    '-s',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    '-H',
    'Host: rebound.example',
    `${relay.url}/why/${hashPart}`,
  ]);
  expect(rebound.stdout).toBe('403');
});
