import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { figuresTold } from '../harness/figures.ts';
import { Lab, labForbidden } from './lab.ts';
import { down, type LabHost, startHost, up } from './lab-host.ts';

const forbidden = labForbidden();
if (forbidden) process.stdout.write(`skipped: discovery on a real LAN: ${forbidden}\n`);

const figures = figuresTold();
const flood = fileURLToPath(new URL('flood.ts', import.meta.url));
const afterStart = 12_000; // ms until the queries and announcements of the start are over

describe.skipIf(forbidden)('discovery on a real LAN', () => {
  let lab: Lab;
  let hosts: LabHost[] = [];

  beforeAll(async () => {
    lab = new Lab();
    lab.addLan('home');
    lab.addLan('cafe');
    for (const [i, host] of ['pi', 'laptop', 'other'].entries()) {
      lab.addHost(host);
      lab.plug(host, 'eth0', 'home', `10.7.0.${i + 1}`);
    }
    lab.addHost('owner');
    lab.plug('owner', 'eth0', 'cafe', '10.8.0.1');
    lab.addLan('quiet');
    for (const [i, host] of quietHosts.entries()) {
      lab.addHost(host);
      lab.plug(host, 'eth0', 'quiet', `10.9.0.${i + 1}`);
    }
    quiet = await Promise.all(quietHosts.map((id) => startHost(lab, id, { id, port: 6271 })));
  });

  // Two hosts on a LAN of their own are left alone while all else is tested.
  const quietHosts = ['quiet1', 'quiet2'];
  let quiet: LabHost[] = [];
  let calm: Sample | undefined;

  interface Sample {
    readonly at: number;
    /** UDP datagrams that each quiet host has sent. */
    readonly sent: readonly number[];
    /** CPU time that each has taken, in ms. */
    readonly cpu: readonly number[];
  }

  async function sample(): Promise<Sample> {
    const measured = await Promise.all(quiet.map((host) => host.measure()));
    return { at: Date.now(), sent: quietHosts.map(datagramsSent), cpu: measured.map(({ cpu }) => cpu) };
  }

  function datagramsSent(host: string): number {
    const [heads = '', values = ''] = lab.exec(host, 'grep', ['^Udp:', '/proc/net/snmp']).trim().split('\n');
    return Number(values.split(' ')[heads.split(' ').indexOf('OutDatagrams')]);
  }

  beforeEach(async () => {
    const [first] = quiet[0]?.events ?? [];
    if (first && Date.now() > first.at + afterStart) calm ??= await sample();
  });

  afterEach(async () => {
    await Promise.all(hosts.map((host) => host.kill()));
    hosts = [];
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function start(host: string, options: object = {}): Promise<LabHost> {
    const started = await startHost(lab, host, { id: `${host}0000`, port: 6271, ...options });
    hosts.push(started);
    return started;
  }

  function note(what: string, took: number, atMost: number): void {
    figures.push(`${what}: ${took} ms (at most ${atMost})`);
    expect(took).toBeLessThanOrEqual(atMost);
  }

  const piUrl = 'http://10.7.0.1:6271/';
  const laptopUrl = 'http://10.7.0.2:6271/';
  const ownerUrl = 'http://10.8.0.1:6271/';

  /** The Pi and the laptop, which know each other. */
  async function atHome(): Promise<{ pi: LabHost; laptop: LabHost }> {
    const pi = await start('pi');
    const laptop = await start('laptop');
    await Promise.all([pi.until(up(laptopUrl)), laptop.until(up(piUrl))]);
    return { pi, laptop };
  }

  it('two agents find each other without a default route, from cold start to verified', async () => {
    for (const host of ['pi', 'laptop']) {
      expect(lab.exec(host, 'ip', ['route', 'show', 'default'])).toBe('');
    }
    const pi = await start('pi');
    const laptop = await start('laptop');
    const [started] = laptop.events;
    const [there, here] = await Promise.all([pi.until(up(laptopUrl)), laptop.until(up(piUrl))]);
    note('the laptop starts and has the Pi', here.at - (started?.at ?? 0), 500);
    note('the laptop starts and the Pi has it', there.at - (started?.at ?? 0), 500);
  });

  it('a peer that was killed without goodbye is down as soon as a request to it fails', async () => {
    const { pi, laptop } = await atHome();
    await pi.kill();
    const failed = Date.now();
    laptop.tell(`doubt ${piUrl}`);
    const { at } = await laptop.until(down(piUrl), failed);
    note('a request to a killed peer fails and it is down', at - failed, 1_000);
  });

  it('a peer that was killed without goodbye is down by itself, and found when it is back', async () => {
    const { pi, laptop } = await atHome();
    const killed = Date.now();
    await pi.kill();
    const { at } = await laptop.until(down(piUrl), killed);
    note('a peer is killed and nobody calls it: down', at - killed, 12_500);
    const back = await start('pi');
    const found = await laptop.until(up(piUrl), at);
    note('a killed peer starts and is up again', found.at - (back.events[0]?.at ?? 0), 500);
  });

  it("a peer whose cable is cut is down within the time of a request, and up again when it's mended", async () => {
    const { laptop } = await atHome();
    lab.disconnect('pi', 'eth0');
    const cut = Date.now();
    laptop.tell(`doubt ${piUrl}`);
    const { at } = await laptop.until(down(piUrl), cut);
    note("the peer's cable is cut and a request hangs: down", at - cut, 3_600);
    lab.connect('pi', 'eth0', 'home');
    const mended = Date.now();
    const found = await laptop.until(up(piUrl), mended);
    note("the peer's cable is mended and it is up", found.at - mended, 5_000);
  });

  it('its own cable cut takes it offline, and mended brings its peers back', async () => {
    const { laptop } = await atHome();
    const cut = Date.now();
    lab.cut('laptop', 'eth0');
    const { at } = await laptop.until(down(piUrl), cut);
    note('its own cable is cut and the peer is down', at - cut, 3_600);
    await laptop.until(({ event, online }) => event === 'network' && online === false, cut);
    lab.mend('laptop', 'eth0');
    const mended = Date.now();
    const found = await laptop.until(up(piUrl), mended);
    note('its own cable is mended and the peer is up', found.at - mended, 3_600);
  });

  it("a peer's new address is in use, and its old one is not", async () => {
    const { laptop } = await atHome();
    const changed = Date.now();
    lab.readdress('pi', 'eth0', '10.7.0.99');
    const [{ at }] = await Promise.all([
      laptop.until(up('http://10.7.0.99:6271/'), changed),
      laptop.until(down(piUrl), changed),
    ]);
    lab.readdress('pi', 'eth0', '10.7.0.1');
    note("a peer's address changes and the new one is up", at - changed, 4_000);
  });

  it('carried to another LAN, it has the peers there, and those at home on its return', async () => {
    const { laptop } = await atHome();
    await start('owner');
    const carry = (lan: string, address: string) => {
      lab.cut('laptop', 'eth0');
      lab.connect('laptop', 'eth0', lan);
      lab.readdress('laptop', 'eth0', address);
      lab.mend('laptop', 'eth0');
      return Date.now();
    };
    const left = carry('cafe', '10.8.0.2');
    const [there, gone] = await Promise.all([
      laptop.until(up(ownerUrl), left),
      laptop.until(down(piUrl), left),
    ]);
    note('carried to another LAN: the peer there is up', there.at - left, 2_000);
    note('carried to another LAN: the peer at home is down', gone.at - left, 2_000);
    const returned = carry('home', '10.7.0.2');
    const again = await laptop.until(up(piUrl), returned);
    note('carried home: the peer there is up', again.at - returned, 2_000);
  });

  it('its adapter re-plugged with the same address hears and is heard as before', async () => {
    const { pi, laptop } = await atHome();
    lab.unplug('laptop', 'eth0');
    lab.plug('laptop', 'eth0', 'home', '10.7.0.2');
    const plugged = Date.now();
    const again = await laptop.until(up(piUrl), plugged);
    note('re-plugged with the same address: the peer is up again', again.at - plugged, 2_000);
    // A new cache proves that multicast is heard on the new adapter, and not just that old peers are retried.
    const other = await start('other');
    await Promise.all([
      laptop.until(up('http://10.7.0.3:6271/')),
      other.until(up(laptopUrl)),
      pi.until(up('http://10.7.0.3:6271/')),
    ]);
  });

  it('a second interface brings the peers of its LAN, and takes none away', async () => {
    const { laptop } = await atHome();
    await start('owner');
    const plugged = Date.now();
    lab.plug('laptop', 'eth1', 'cafe', '10.8.0.2');
    const { at } = await laptop.until(up(ownerUrl), plugged);
    note('a second interface is plugged in: its peer is up', at - plugged, 2_000);
    lab.unplug('laptop', 'eth1');
    await laptop.until(down(ownerUrl), at);
    expect(laptop.events.filter(down(piUrl))).toEqual([]);
  });

  it('started with no network at all, it waits for one', async () => {
    await start('pi');
    lab.cut('laptop', 'eth0');
    const laptop = await start('laptop');
    expect(laptop.events[0]?.['online']).toBe(false);
    lab.mend('laptop', 'eth0');
    const mended = Date.now();
    const { at } = await laptop.until(up(piUrl), mended);
    note('started offline, then plugged in: the peer is up', at - mended, 3_600);
  });

  it('suspended and woken, it verifies its peers afresh', async () => {
    const { pi, laptop } = await atHome();
    laptop.process.kill('SIGSTOP');
    await pi.until(down(laptopUrl), 0, 20_000);
    laptop.process.kill('SIGCONT');
    const woken = Date.now();
    const [here, there] = await Promise.all([laptop.until(up(piUrl), woken), pi.until(up(laptopUrl), woken)]);
    note('woken from suspension: its peer is up', here.at - woken, 2_000);
    note('woken from suspension: the peer has it again', there.at - woken, 2_000);
  });

  it('under a flood of hostile packets it stays quick and small, and keeps its peers', async () => {
    const { laptop } = await atHome();
    const addresses = Array.from({ length: 20 }, (_, i) => `10.7.0.${100 + i}`);
    for (const address of addresses) lab.exec('other', 'ip', ['addr', 'add', `${address}/24`, 'dev', 'eth0']);
    const before = await laptop.measure();
    laptop.tell('watchDelay');
    const began = Date.now();
    const args = [flood, addresses.join(','), '5', '2000'];
    const flooding = lab.spawn('other', process.execPath, args);
    const sent = new Promise<string>((resolve) =>
      flooding.stdout?.once('data', (text) => resolve(String(text))),
    );
    await new Promise((resolve) => flooding.once('exit', resolve));
    const { rss, delay, held } = await laptop.measure();
    const grown = (rss - before.rss) / 2 ** 20;
    figures.push(
      `${Number(await sent)} hostile packets in ${Date.now() - began} ms: ` +
        `event loop held ${held.toFixed(1)} ms (at most 100; with all else on the machine ${delay.toFixed(1)}), RSS +${grown.toFixed(1)} MiB (at most 30)`,
    );
    expect(held).toBeLessThanOrEqual(100);
    expect(grown).toBeLessThanOrEqual(30);
    expect(laptop.events.filter(down(piUrl))).toEqual([]);
    const owner = await start('pi', { port: 6272 });
    await Promise.all([laptop.until(up('http://10.7.0.1:6272/')), owner.until(up(laptopUrl))]);
  });

  it('idle, it sends six packets a minute at most and takes no CPU time to speak of', async () => {
    const before = calm ?? (await sample());
    const after = await sample();
    const minutes = (after.at - before.at) / 60_000;
    for (const [i, host] of quietHosts.entries()) {
      const packets = ((after.sent[i] ?? 0) - (before.sent[i] ?? 0)) / minutes;
      const load = (((after.cpu[i] ?? 0) - (before.cpu[i] ?? 0)) / (after.at - before.at)) * 100;
      figures.push(
        `${host} idle for ${Math.round(minutes * 60)} s: ${packets.toFixed(1)} packets a minute (at most 6), ` +
          `${load.toFixed(2)} % of a core (at most 0.3)`,
      );
      expect(packets).toBeLessThanOrEqual(6);
      expect(load).toBeLessThanOrEqual(0.3);
    }
  });
});
