import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, largeClosure, pathNamed } from '../fixtures/closure.ts';
import { Lab, labForbidden } from './discovery/lab.ts';
import { figuresTold } from './harness/figures.ts';
import { loggedAt, startAgent } from './harness/lan-agent.ts';
import { LanNginx } from './harness/lan-nginx.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const mb = 1_000_000;
/** What is in the shaper's queue when a connection is given up, which happens twice, and the headers of a few more requests. */
const lostOnTheWay = 150_000;
/** Of Ethernet, IPv4 and TCP with timestamps; large packets on virtual cables carry one set. */
const headerBytes = 66;
/** Bytes of HTTP headers before a small file from nginx. */
const headersOfAnswer = 300;

/** Bytes of TCP payload that an adapter of the network in which a process lives has received. */
async function received(pid: number | undefined, device: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/net/dev`, 'utf8');
  const [, bytes, packets] = new RegExp(`^ *${device}: *(\\d+) +(\\d+) `, 'm').exec(text) ?? [];
  return Number(bytes) - headerBytes * Number(packets);
}

/** Bytes of all files in a cache directory that NARs come to. */
async function sizeOf(dir: string): Promise<number> {
  const names = (
    await Promise.all(
      ['nar', 'partial'].map((sub) =>
        readdir(join(dir, sub)).then((all) => all.map((name) => join(dir, sub, name))),
      ),
    )
  ).flat();
  const sizes = await Promise.all(
    names.map((name) =>
      stat(name).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

skippable(describe, labForbidden() ?? privateStoreSkipReason())('home and away', () => {
  const figures = figuresTold();
  let fixture: Fixture;
  let lab: Lab;
  let router: number | undefined;

  beforeAll(async () => {
    fixture = await largeClosure();
    lab = new Lab();
    for (const lan of ['home', 'cafe', 'wan']) lab.addLan(lan);
    for (const host of ['pi', 'laptop', 'router', 'web']) lab.addHost(host);
    lab.plug('pi', 'eth0', 'home', '10.7.0.1');
    lab.plug('laptop', 'eth0', 'home', '10.7.0.2');
    lab.plug('router', 'eth0', 'home', '10.7.0.254');
    lab.plug('router', 'eth1', 'cafe', '10.8.0.254');
    lab.plug('router', 'eth2', 'wan', '10.9.0.254');
    lab.plug('web', 'eth0', 'wan', '10.9.0.1');
    lab.exec('router', 'sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
    router = lab.spawn('router', 'sleep', ['infinity']).pid;
    lab.exec('web', 'ip', ['route', 'add', 'default', 'via', '10.9.0.254']);
    lab.exec('laptop', 'ip', ['route', 'add', 'default', 'via', '10.7.0.254']);
    const shape = (host: string, rate: string) =>
      lab.exec(host, 'tc', `qdisc add dev eth0 root tbf rate ${rate} latency 20ms`.split(' '));
    shape('web', '8mbit burst 32kb');
    // As the Ethernet of an older Pi: a busy machine that pulls the cable seconds late pulls it in mid-closure all the same.
    shape('pi', '100mbit burst 256kb');
  });

  afterAll(async () => {
    await lab?.close();
  });

  function carry(lan: string, net: string): void {
    lab.cut('laptop', 'eth0');
    lab.connect('laptop', 'eth0', lan);
    lab.readdress('laptop', 'eth0', `${net}.2`);
    lab.mend('laptop', 'eth0');
    lab.exec('laptop', 'ip', ['route', 'add', 'default', 'via', `${net}.254`]);
  }

  test('a closure that is begun at home goes on in a café and at home again', {
    timeout: 120_000,
  }, async () => {
    await using _pi = await LanNginx.start(lab, 'pi', fixture.dir);
    await lab.avahi('pi', [{ name: 'Pi', type: '_http._tcp', port: 80, txt: ['nix-cache=1'] }]);
    await using web = await LanNginx.start(lab, 'web', fixture.dir);
    await using cache = await TemporaryDirectory.create('cache');
    await using agent = await startAgent(lab, 'laptop', fixture, {
      substituters: ['http://10.9.0.1'],
      cache: { dir: cache.path },
      // A stranger gives each NAR from its first byte on; one that the operator has named goes on with what the WAN began.
      lan: { peers: ['http://10.7.0.1'] },
    });
    await using store = await PrivateStore.create({
      inside: lab.on('laptop'),
      options: { substituters: agent.url, 'trusted-public-keys': fixture.publicKey },
    });
    await expect.poll(() => loggedAt(agent, 'cache found on the LAN'), { timeout: 20_000 }).toBeDefined();
    const wan = () => received(router, 'eth2');
    const all = () => received(agent.pid, 'eth0');
    const untilMore = async (count: () => Promise<number>, bytes: number) => {
      const enough = (await count()) + bytes;
      await expect.poll(count, { timeout: 60_000, interval: 5 }).toBeGreaterThan(enough);
    };

    const wanAtFirst = await wan();
    const began = performance.now();
    const realised = store.run(['nix-store', '--realise', fixture.top]);
    await untilMore(all, 15 * mb);
    carry('cafe', '10.8.0');
    await expect
      .poll(() => loggedAt(agent, 'network changed'), { timeout: 10_000, interval: 5 })
      .toBeDefined();
    // What lies unread in the kernel when the cable is pulled is lost: what counts is what has come to the disk.
    const fromHome = (await sizeOf(cache.path)) - ((await wan()) - wanAtFirst);
    await untilMore(wan, 6 * mb);
    const [allBefore, wanBefore] = [await all(), await wan()];
    carry('home', '10.7.0');
    const { code, stderr } = await realised;
    expect(code, stderr).toBe(0);
    const took = performance.now() - began;

    const total = fixture.paths.reduce((sum, { fileSize }) => sum + fileSize, 0);
    const crossed = (await wan()) - wanAtFirst;
    const afterReturn = (await wan()) - wanBefore;
    const fromHomeAgain = (await all()) - allBefore - afterReturn;
    const needed = total - fromHome - fromHomeAgain;
    // A busy machine gives up its neighbours' head start, and asks for narinfos in both places: small, and as many as it was.
    const narinfos = (await web.requests())
      .filter(({ uri }) => uri.endsWith('.narinfo'))
      .reduce((sum, { bytes }) => sum + bytes + headersOfAnswer, 0);
    const shown = (bytes: number) => `${(bytes / mb).toFixed(2)} MB`;
    figures.push(
      `a closure of ${shown(total)} in ${(took / 1_000).toFixed(1)} s: ${shown(fromHome)} at home, then ${shown(fromHomeAgain)} at home again`,
      `over the WAN: ${shown(crossed)} (${shown(narinfos)} of it narinfos) of ${shown(needed)} that the Pi could not give, ${shown(afterReturn)} of it after the return`,
    );
    await store.mustVerify(fixture.paths);
    expect(crossed).toBeGreaterThan(6 * mb);
    expect(crossed).toBeLessThanOrEqual(needed * 1.01 + narinfos + lostOnTheWay);
    // Home again, the slow link is left at once and not when it has given the NAR or the closure: most comes from the Pi.
    expect(afterReturn).toBeLessThan(fromHomeAgain / 4);
  });

  test('a network that is only added leaves alone what goes on', { timeout: 60_000 }, async () => {
    await using web = await LanNginx.start(lab, 'web', fixture.dir);
    await using agent = await startAgent(lab, 'laptop', fixture, { substituters: ['http://10.9.0.1'] });
    await using store = await PrivateStore.create({
      inside: lab.on('laptop'),
      options: { substituters: agent.url, 'trusted-public-keys': fixture.publicKey },
    });
    const shape = (rate: string) =>
      lab.exec('web', 'tc', `qdisc change dev eth0 root tbf rate ${rate} burst 16kb latency 50ms`.split(' '));
    shape('400kbit');
    const { path, url, fileSize } = pathNamed(fixture, 'stored-brotlied');
    const atFirst = await received(router, 'eth2');
    const come = async () => (await received(router, 'eth2')) - atFirst;
    const realised = store.run(['nix-store', '--realise', path]);
    await expect.poll(come, { timeout: 30_000, interval: 5 }).toBeGreaterThan(fileSize / 5);
    // The NAR comes to no end before the new network is noticed, however long that takes.
    shape('8kbit');
    lab.plug('laptop', 'eth1', 'cafe', '10.8.0.2');
    await expect
      .poll(() => loggedAt(agent, 'network changed'), { timeout: 5_000, interval: 5 })
      .toBeDefined();
    expect(await come()).toBeLessThan(fileSize);
    shape('400kbit');
    const { code, stderr } = await realised;
    expect(code, stderr).toBe(0);
    expect(agent.logs().filter(({ msg }) => msg === 'transfer interrupted')).toEqual([]);
    expect((await web.requests()).filter(({ uri }) => uri === `/${url}`)).toHaveLength(1);
  });
});
