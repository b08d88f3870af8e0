import { generateKeyPairSync } from 'node:crypto';
import { chmod, cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Fixture, type FixturePath, hashPartOf, pathNamed, smallClosure } from '../fixtures/closure.ts';
import { Lab, labForbidden } from './discovery/lab.ts';
import { figuresTold } from './harness/figures.ts';
import { loggedAt, startAgent } from './harness/lan-agent.ts';
import { LanNginx } from './harness/lan-nginx.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import type { RelayProcess } from './harness/relay-process.ts';
import { mustRun, runCommand } from './harness/run-command.ts';
import { skippable } from './harness/skippable.ts';
import { signedAnew } from './harness/spoiled-narinfo.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

/** For what happens at once, unless the machine is busy. */
const soon = { timeout: 10_000 };

const figures = figuresTold();

skippable(describe, labForbidden() ?? privateStoreSkipReason())('on a LAN', () => {
  let fixture: Fixture;
  let lab: Lab;

  beforeAll(async () => {
    fixture = await smallClosure();
  });

  // A new lab for each test, for every avahi-daemon stays until its lab ends.
  beforeEach(() => {
    lab = new Lab();
    lab.addLan('home');
    for (const [i, host] of ['pi', 'laptop', 'other', 'web'].entries()) {
      lab.addHost(host);
      lab.plug(host, 'eth0', 'home', `10.7.0.${i + 1}`);
    }
  });

  afterEach(() => lab.close());

  const web = 'http://10.7.0.4';
  const storeAt = (host: string, substituter: string) =>
    PrivateStore.create({
      inside: lab.on(host),
      options: { substituters: substituter, 'trusted-public-keys': fixture.publicKey },
    });
  const found = (agent: RelayProcess, url: string) =>
    expect.poll(() => loggedAt(agent, 'cache found on the LAN', { url }), { timeout: 20_000 }).toBeDefined();

  test('two laptops find each other and share what is publicly signed', { timeout: 60_000 }, async () => {
    await using upstream = await LanNginx.start(lab, 'web', fixture.dir);
    await using first = await startAgent(lab, 'laptop', fixture, { substituters: [web] });
    await using firstStore = await storeAt('laptop', first.url);
    await firstStore.mustRun(['nix-store', '--realise', fixture.top]);
    const before = (await upstream.requests()).length;

    await using second = await startAgent(lab, 'other', fixture, { substituters: [web] });
    await Promise.all([found(second, 'http://10.7.0.2:6271/'), found(first, 'http://10.7.0.3:6271/')]);
    const listening = loggedAt(second, 'listening') ?? 0;
    for (const [who, agent] of [
      ['the newcomer has the laptop', second],
      ['the laptop has the newcomer', first],
    ] as const) {
      const took = (loggedAt(agent, 'cache found on the LAN') ?? 0) - listening;
      figures.push(`an agent starts and ${who} as a cache: ${took} ms (at most 500)`);
      expect(took).toBeLessThanOrEqual(500);
    }

    await using secondStore = await storeAt('other', second.url);
    await secondStore.mustRun(['nix-store', '--realise', fixture.top]);
    await secondStore.mustVerify(fixture.paths);
    // What nobody has signed is not shared, though its content address proves it.
    const { path, url } = pathNamed(fixture, 'small-text');
    const asked = (await upstream.requests()).slice(before).map(({ uri }) => uri);
    // On a busy machine a neighbour may lose its head start, and the upstream is asked as well; its NARs are not.
    expect(asked).toContain(`/${hashPartOf(path)}.narinfo`);
    expect(asked.filter((uri) => uri.startsWith('/nar/'))).toEqual([`/${url}`]);
  });

  test('a directory behind nginx that avahi announces is found and used', { timeout: 60_000 }, async () => {
    await using nginx = await LanNginx.start(lab, 'pi', fixture.dir);
    await lab.avahi('pi', [{ name: 'Pi', type: '_http._tcp', port: 80, txt: ['nix-cache=1'] }]);
    await using upstream = await LanNginx.start(lab, 'web', fixture.dir);
    await using agent = await startAgent(lab, 'laptop', fixture, { substituters: [web] });
    await found(agent, 'http://10.7.0.1/');
    await using store = await storeAt('laptop', agent.url);
    await store.mustRun(['nix-store', '--realise', fixture.top]);
    await store.mustVerify(fixture.paths);
    // What nobody has signed is not taken from a cache that nobody has named.
    const { path, url: unsigned } = pathNamed(fixture, 'small-text');
    const signed = fixture.paths.filter(({ url }) => url !== unsigned);
    const crossed = (await nginx.requests()).filter(({ uri }) => uri.startsWith('/nar/'));
    expect(
      crossed
        .map(({ uri, bytes }) => `${uri} ${bytes}`)
        .filter((line) => !line.includes(unsigned))
        .sort(),
    ).toEqual(signed.map(({ url, fileSize }) => `/${url} ${fileSize}`).sort());
    const far = ['/nix-cache-info', `/${hashPartOf(path)}.narinfo`, `/${unsigned}`];
    expect(far).toEqual(expect.arrayContaining((await upstream.requests()).map(({ uri }) => uri)));
    const { stdout } = await agentCommand('laptop', ['peers', '--option', 'listen', new URL(agent.url).host]);
    expect(stdout).toMatch(/^Pi +10\.7\.0\.1 +_http\._tcp +up +\d[\d.]* ms +0:\d\d ago +nix-cache=1$/m);
  });

  test('what only a private key has signed is not shown, and questions go no further', {
    timeout: 60_000,
  }, async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const spki = publicKey.export({ format: 'der', type: 'spki' });
    const hidden = pathNamed(fixture, 'small-b');
    const shared = pathNamed(fixture, 'small-a');
    await using directory = await TemporaryDirectory.create('web');
    await cp(fixture.dir, directory.path, { recursive: true });
    const file = join(directory.path, `${hashPartOf(hidden.path)}.narinfo`);
    await chmod(file, 0o644);
    await writeFile(file, signedAnew(await readFile(file, 'utf8'), { name: 'private-1', key: privateKey }));

    await using upstream = await LanNginx.start(lab, 'web', directory.path);
    const keys = [fixture.publicKey, `private-1:${spki.subarray(-32).toString('base64')}`];
    await using agent = await startAgent(lab, 'laptop', fixture, {
      substituters: [web],
      'trusted-public-keys': keys,
    });
    await using store = await PrivateStore.create({
      inside: lab.on('laptop'),
      options: { substituters: agent.url, 'trusted-public-keys': keys.join(' ') },
    });
    await store.mustRun(['nix-store', '--realise', hidden.path, shared.path]);
    const before = (await upstream.requests()).length;

    const ask = async (method: string, path: string) => {
      const url = `http://10.7.0.2:6271${path}`;
      const status = ['--write-out', '%{http_code}', '--output', '/dev/null', '--max-time', '5'];
      const argv = ['curl', '--silent', '--path-as-is', ...(method === 'HEAD' ? ['--head'] : ['-X', method])];
      return (await runCommand(lab.on('other').enter([...argv, ...status, url]))).stdout;
    };
    const narinfoOf = ({ path }: FixturePath) => `/${hashPartOf(path)}.narinfo`;
    for (const path of [narinfoOf(shared), `/${shared.url}`]) expect(await ask('GET', path)).toBe('200');
    const absent = [
      narinfoOf(hidden),
      `/${hidden.url}`,
      narinfoOf(pathNamed(fixture, 'small-c')),
      `/${'0'.repeat(32)}.narinfo`,
      `/${'0'.repeat(9_000)}.narinfo`,
      `/nar/..${narinfoOf(hidden)}`,
      `/nar/%2e%2e${narinfoOf(hidden)}`,
      '/nar/%2e%2e%2flock',
    ];
    for (const path of absent) {
      for (const method of ['GET', 'HEAD']) expect(await ask(method, path), path).toBe('404');
    }
    for (const method of ['PUT', 'POST', 'DELETE']) expect(await ask(method, narinfoOf(hidden))).toBe('405');
    expect((await upstream.requests()).length).toBe(before);
  });

  test('stock Nix without an agent takes what it needs from the Pi', { timeout: 60_000 }, async () => {
    await using directory = await TemporaryDirectory.create('pi');
    await cp(fixture.dir, join(directory.path, 'cache'), { recursive: true });
    await using pi = await startAgent(lab, 'pi', fixture, { cache: { dir: join(directory.path, 'cache') } });
    await expect.poll(() => loggedAt(pi, 'open to the LAN'), soon).toBeDefined();
    await using store = await storeAt('other', 'http://10.7.0.1:6271');
    const wanted = ['small-a', 'small-b'].map((name) => pathNamed(fixture, name).path);
    await store.mustRun(['nix-store', '--realise', ...wanted]);
    expect((await store.verify(wanted)).code).toBe(0);
    expect(pi.logs().some(({ msg }) => msg === 'lookup failed')).toBe(false);
  });

  test('a Pi with pull-through fetches once what two clients want', { timeout: 60_000 }, async () => {
    await using upstream = await LanNginx.start(lab, 'web', fixture.dir);
    await using _pi = await startAgent(lab, 'pi', fixture, {
      substituters: [web],
      lan: { 'pull-through': true },
    });
    await using agent = await startAgent(lab, 'laptop', fixture);
    await found(agent, 'http://10.7.0.1:6271/');
    await using withAgent = await storeAt('laptop', agent.url);
    await using stock = await storeAt('other', 'http://10.7.0.1:6271');
    const wanted = ['small-a', 'small-b'].map((name) => pathNamed(fixture, name));
    const paths = wanted.map(({ path }) => path);
    await Promise.all([withAgent, stock].map((store) => store.mustRun(['nix-store', '--realise', ...paths])));
    for (const store of [withAgent, stock]) expect((await store.verify(paths)).code).toBe(0);
    const crossed = (await upstream.requests()).filter(({ uri }) => uri.startsWith('/nar/'));
    expect(crossed.map(({ uri, bytes }) => `${uri} ${bytes}`).sort()).toEqual(
      wanted.map(({ url, fileSize }) => `/${url} ${fileSize}`).sort(),
    );
  });

  /** Runs `narrowcast` on a host. */
  async function agentCommand(host: string, args: readonly string[]) {
    const main = join(import.meta.dirname, '../../agent/main.ts');
    return await mustRun(lab.on(host).enter([process.execPath, main, ...args]));
  }
});
