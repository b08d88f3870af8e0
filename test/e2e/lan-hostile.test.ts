import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, hashPartOf, largeClosure, smallClosure } from '../fixtures/closure.ts';
import { kill, Lab, labForbidden } from './discovery/lab.ts';
import { figuresTold } from './harness/figures.ts';
import type { Malice } from './harness/hostile-cache.ts';
import { loggedAt, startAgent } from './harness/lan-agent.ts';
import { LanNginx } from './harness/lan-nginx.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import type { RelayProcess } from './harness/relay-process.ts';
import { mustRun } from './harness/run-command.ts';
import { skippable } from './harness/skippable.ts';

const evilUrl = 'http://10.7.0.3:6271/';

skippable(describe, labForbidden() ?? privateStoreSkipReason())('a hostile machine on the LAN', () => {
  const figures = figuresTold();
  let fixture: Fixture;
  let lab: Lab;

  let pi: LanNginx;
  let web: LanNginx;

  beforeAll(async () => {
    fixture = await smallClosure();
    lab = new Lab();
    lab.addLan('cafe');
    for (const [i, host] of ['pi', 'laptop', 'evil', 'web'].entries()) {
      lab.addHost(host);
      lab.plug(host, 'eth0', 'cafe', `10.7.0.${i + 1}`);
    }
    pi = await LanNginx.start(lab, 'pi', fixture.dir);
    web = await LanNginx.start(lab, 'web', fixture.dir);
    await lab.avahi('pi', [{ name: 'Pi', type: '_nix-cache._tcp', port: 80 }]);
  });

  afterAll(async () => {
    for (const server of [pi, web]) await server?.[Symbol.asyncDispose]();
    await lab?.close();
  });

  const curl = (...argv: string[]) => mustRun(lab.on('laptop').enter(['curl', '--silent', ...argv]));

  /** Asks the agent so often for what costs it nothing; within how many ms 99 of 100 answers came. */
  async function besides({ url }: RelayProcess, count: number): Promise<number> {
    const each = ['--output', '/dev/null', `${url}/healthz`];
    const all = Array.from({ length: count }, () => each).flat();
    const times = (await curl('--write-out', '%{time_total}\n', ...all)).stdout
      .trim()
      .split('\n')
      .map(Number)
      .sort((a, b) => a - b);
    return 1_000 * (times[Math.floor(0.99 * times.length)] ?? Number.NaN);
  }

  test.for(['wrong-nars', 'endless-narinfos', 'slow-narinfos', 'slow-nars', 'redirects'] as const)(
    '%s: costs a little time, and the true caches stay in use',
    { timeout: 120_000 },
    async (malice) => {
      const [piBefore, webBefore] = [(await pi.requests()).length, (await web.requests()).length];
      await using evil = await Hostile.start(lab, fixture, malice);
      await using agent = await startAgent(lab, 'laptop', fixture, { substituters: ['http://10.7.0.4'] });
      for (const url of [evilUrl, 'http://10.7.0.1/']) {
        await expect
          .poll(() => loggedAt(agent, 'cache found on the LAN', { url }), { timeout: 20_000 })
          .toBeDefined();
      }
      await using store = await PrivateStore.create({
        inside: lab.on('laptop'),
        options: { substituters: agent.url, 'trusted-public-keys': fixture.publicKey },
      });
      await besides(agent, 100);
      const { now: rssBefore } = await agent.memory();
      const [{ ms }, late] = await Promise.all([
        store.mustRun(['nix-store', '--realise', fixture.top]),
        besides(agent, 300),
      ]);
      const growth = ((await agent.memory()).peak - rssBefore) / 2 ** 20;
      await store.mustVerify(fixture.paths);

      const asked = (await pi.requests()).slice(piBefore);
      const upstream = (await web.requests()).slice(webBefore);
      const nars = evil.asked.filter((path) => path.startsWith('/nar/')).length;
      const narinfos = evil.asked.filter((path) => path.endsWith('.narinfo')).length;
      figures.push(
        `${malice}: ${Math.round(ms)} ms; asked for ${narinfos} narinfos and ${nars} NARs; ${asked.length} requests to the true cache, ${upstream.length} upstream; ${growth.toFixed(0)} MiB more at most (at most 30), 99 of 100 other answers within ${late.toFixed(0)} ms (at most 100)`,
      );
      expect(growth).toBeLessThanOrEqual(30);
      expect(late).toBeLessThanOrEqual(100);
      expect(malice === 'wrong-nars' || malice === 'slow-nars' ? nars : narinfos).toBeGreaterThan(0);
      expect(asked.length).toBeGreaterThan(fixture.paths.length);
      expect(upstream.filter(({ uri }) => uri.includes('trap'))).toEqual([]);
      expect(loggedAt(agent, 'cache on the LAN is gone', { url: 'http://10.7.0.1/' })).toBeUndefined();
      expect(ms).toBeLessThan(20_000);
    },
  );

  test('endless narinfos for a whole closure at once take little memory and hold nothing up', {
    timeout: 90_000,
  }, async () => {
    const large = await largeClosure();
    await using evil = await Hostile.start(lab, large, 'endless-narinfos');
    await using agent = await startAgent(lab, 'laptop', fixture, { 'log-level': 'info' });
    await expect
      .poll(() => loggedAt(agent, 'cache found on the LAN', { url: evilUrl }), { timeout: 20_000 })
      .toBeDefined();
    await besides(agent, 300);

    const { now: before } = await agent.memory();
    const narinfos = large.paths.map(({ path }) => `${agent.url}/${hashPartOf(path)}.narinfo`);
    const each = ['--output', '/dev/null', '--write-out', '%{http_code}\n'];
    const [asked, late] = await Promise.all([
      curl('--parallel', '--parallel-max', '66', ...narinfos.flatMap((url) => [...each, url])),
      besides(agent, 300),
    ]);
    expect(new Set(asked.stdout.trim().split('\n'))).toEqual(new Set(['404']));
    expect(evil.asked.filter((path) => path.endsWith('.narinfo')).length).toBe(large.paths.length);

    const growth = ((await agent.memory()).peak - before) / 2 ** 20;
    figures.push(
      `${large.paths.length} endless narinfos at once: ${growth.toFixed(0)} MiB more at most (at most 30), 99 of 100 other answers within ${late.toFixed(0)} ms (at most 100)`,
    );
    expect(growth).toBeLessThanOrEqual(30);
    expect(late).toBeLessThanOrEqual(100);
  });
});

/** A hostile cache that announces itself on the LAN. */
class Hostile implements AsyncDisposable {
  /** The paths that it was asked for. */
  readonly asked: string[] = [];
  readonly #process: ReturnType<Lab['spawn']>;

  private constructor(lab: Lab, { dir }: Fixture, malice: Malice) {
    const options = { dir, malice, port: 6271, trap: 'http://10.7.0.4/trap' };
    const program = join(import.meta.dirname, 'harness/hostile-cache.ts');
    this.#process = lab.spawn('evil', process.execPath, [program, JSON.stringify(options)]);
  }

  static async start(lab: Lab, fixture: Fixture, malice: Malice): Promise<Hostile> {
    const hostile = new Hostile(lab, fixture, malice);
    await hostile.#ready();
    return hostile;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await kill(this.#process);
  }

  #ready(): Promise<void> {
    const { stdout, stderr } = this.#process;
    let errors = '';
    stderr?.on('data', (chunk) => {
      errors += chunk;
    });
    return new Promise((resolve, reject) => {
      if (stdout === null) throw new Error('The hostile cache has no output.');
      createInterface({ input: stdout }).on('line', (line) => {
        const { path } = JSON.parse(line);
        if (path === 'ready') resolve();
        else this.asked.push(path);
      });
      this.#process.once('exit', () => reject(new Error(`The hostile cache has ended: ${errors}`)));
    });
  }
}
