import { setTimeout as passed } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { figuresTold } from '../harness/figures.ts';
import { kill, Lab, labForbidden } from './lab.ts';
import { down, type LabHost, startHost, up } from './lab-host.ts';

const forbidden = labForbidden();
if (forbidden) process.stdout.write(`skipped: discovery beside avahi: ${forbidden}\n`);

const piUrl = 'http://10.7.0.1:6271/';

describe.skipIf(forbidden)('discovery beside avahi', () => {
  let lab: Lab;
  let hosts: LabHost[] = [];
  const figures = figuresTold();

  // A new lab for each test, for every avahi-daemon stays until its lab ends.
  async function makeLab(...names: string[]): Promise<void> {
    lab = new Lab();
    lab.addLan('home');
    for (const [i, host] of names.entries()) {
      lab.addHost(host);
      lab.plug(host, 'eth0', 'home', `10.7.0.${i + 1}`);
    }
  }

  afterEach(async () => {
    await Promise.all(hosts.map((host) => host.kill()));
    hosts = [];
    await lab.close();
  });

  async function start(host: string, options: object = {}): Promise<LabHost> {
    const started = await startHost(lab, host, { id: `${host}0000`, port: 6271, ...options });
    hosts.push(started);
    return started;
  }

  /** What avahi on a host resolves of a type: name, host, address, port and TXT of each. */
  function resolved(host: string, env: NodeJS.ProcessEnv, type: string): string[][] {
    return lab
      .exec(host, 'avahi-browse', ['--resolve', '--parsable', '--terminate', type], env)
      .split('\n')
      .filter((line) => line.startsWith('=;eth0;'))
      .map((line) => line.split(';'))
      .map(([, , , name = '', , , target = '', address = '', port = '', txt = '']) => [
        name,
        target,
        address,
        port,
        txt,
      ]);
  }

  it('avahi on another host resolves our cache to its own host name, address, port and TXT', async () => {
    await makeLab('pi', 'other');
    const { env } = await lab.avahi('other', []);
    const pi = await start('pi');
    await expect
      .poll(() => resolved('other', env, '_nix-cache._tcp'), { timeout: 10_000 })
      .toEqual([
        [
          'pi0000\\032narrowcast\\032pi0000',
          'narrowcast-pi0000.local',
          '10.7.0.1',
          '6271',
          expect.stringMatching(/^(?=.*"txtvers=1")(?=.*"path=\/")(?=.*"prio=30")(?=.*"id=pi0000")/),
        ],
      ]);
    await pi.stop();
    await expect.poll(() => resolved('other', env, '_nix-cache._tcp'), { timeout: 10_000 }).toEqual([]);
  });

  it('finds the caches that avahi announces, and calls nothing else', async () => {
    await makeLab('laptop', 'nas');
    const caches = [6272, 6273];
    for (const port of caches) await start('nas', { port, browse: false, announce: false });
    const printer = await start('nas', { port: 80, browse: false, announce: false });
    await lab.avahi('nas', [
      { name: 'NAS: “nginx” über alles', type: '_http._tcp', port: 6272, txt: ['path=/', 'nix-cache=1'] },
      { name: 'plain', type: '_nix-cache._tcp', port: 6273 },
      { name: 'printer', type: '_http._tcp', port: 80, txt: ['path=/'] },
    ]);
    // After it has announced a service, avahi answers no question about it for a second.
    await passed(4_000);
    const laptop = await start('laptop');
    const found = await Promise.all(caches.map((port) => laptop.until(up(`http://10.7.0.2:${port}/`))));
    for (const { at, origin } of found) {
      const took = at - (laptop.events[0]?.at ?? 0);
      figures.push(`the laptop starts and has an avahi-announced ${origin} cache: ${took} ms (at most 500)`);
      expect(took).toBeLessThanOrEqual(500);
    }
    expect(found.map(({ name, origin }) => [name, origin])).toEqual([
      ['NAS: “nginx” über alles', '_http._tcp'],
      ['plain', '_nix-cache._tcp'],
    ]);
    expect(printer.events.map(({ event }) => event)).toEqual(['started']);
  });

  it('follows an avahi host to its new address as soon as a request to the old one fails', async () => {
    await makeLab('laptop', 'nas');
    await start('nas', { port: 6272, browse: false, announce: false });
    await lab.avahi('nas', [{ name: 'plain', type: '_nix-cache._tcp', port: 6272 }]);
    const laptop = await start('laptop');
    await laptop.until(up('http://10.7.0.2:6272/'));
    lab.readdress('nas', 'eth0', '10.7.0.77');
    const changed = Date.now();
    laptop.tell('doubt http://10.7.0.2:6272/');
    const { at } = await laptop.until(up('http://10.7.0.77:6272/'), changed);
    figures.push(`an avahi host's address changes and the new one is up: ${at - changed} ms (at most 4000)`);
    expect(at - changed).toBeLessThanOrEqual(4_000);
    await laptop.until(down('http://10.7.0.2:6272/'), changed);
  });

  it('leaves avahi on its own host at work: browsing, announcing and unicast queries', async () => {
    await makeLab('pi', 'other');
    const nas = { name: 'web', type: '_http._tcp', port: 80 };
    const here = await lab.avahi('pi', [nas]);
    const there = await lab.avahi('other', [nas]);
    await start('pi');
    await start('other', { port: 6272 });
    const both = (services: string[][]) => services.map(([name]) => name).sort();
    for (const [host, { env }] of [
      ['pi', here],
      ['other', there],
    ] as const) {
      await expect
        .poll(() => both(resolved(host, env, '_nix-cache._tcp')), { timeout: 10_000 })
        .toEqual(['other0000\\032narrowcast\\032other0000', 'pi0000\\032narrowcast\\032pi0000']);
      expect(
        resolved(host, env, '_http._tcp')
          .map(([, target]) => target)
          .sort(),
      ).toEqual(['avahi-other.local', 'avahi-pi.local']);
    }
    const query = fileURLToPath(new URL('unicast-query.ts', import.meta.url));
    const answered = lab.exec('other', process.execPath, [query, '10.7.0.1', 'avahi-pi.local', '20']);
    expect(Number(answered)).toBe(20);
  });

  it('runs on while avahi keeps the port to itself, says so once, and recovers', async () => {
    await makeLab('pi', 'laptop');
    const { daemon } = await lab.avahi('laptop', [], ['disallow-other-stacks=yes']);
    await start('pi');
    const laptop = await start('laptop', { staticPeers: [piUrl] });
    const { message } = await laptop.until(({ event }) => event === 'trouble');
    expect(message).toMatch(/disallow-other-stacks=no/);
    await laptop.until(up(piUrl));
    await kill(daemon);
    const killed = Date.now();
    const { at } = await laptop.until(({ event }) => event === 'recovered', killed);
    figures.push(`avahi lets go of the port and discovery has recovered: ${at - killed} ms`);
    expect(laptop.events.filter(({ event }) => event === 'trouble').length).toBe(1);
    const other = await start('pi', { port: 6272 });
    await Promise.all([laptop.until(up('http://10.7.0.1:6272/')), other.until(up('http://10.7.0.2:6271/'))]);
  });
});
