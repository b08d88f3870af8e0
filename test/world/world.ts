import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab, ready } from '../e2e/discovery/lab.ts';
import { startAgent } from '../e2e/harness/lan-agent.ts';
import { LanNginx } from '../e2e/harness/lan-nginx.ts';
import { PrivateStore } from '../e2e/harness/private-store.ts';
import type { RelayConfig, RelayProcess } from '../e2e/harness/relay-process.ts';
import { mustRun } from '../e2e/harness/run-command.ts';
import type { Fixture } from '../fixtures/closure.ts';
import type { Timeline } from './timeline.ts';

/** The networks, by the first three numbers of their addresses. */
const nets = { home: '10.7.0', cafe: '10.8.0', internet: '10.9.0' };
/** Who is plugged in where at first, with the last number of the address. */
const plugs = [
  { host: 'pi', device: 'eth0', net: 'home', number: 1 },
  { host: 'laptop', device: 'eth0', net: 'home', number: 2 },
  { host: 'second', device: 'eth0', net: 'home', number: 3 },
  { host: 'attacker', device: 'eth0', net: 'cafe', number: 66 },
  { host: 'router', device: 'eth0', net: 'home', number: 254 },
  { host: 'router', device: 'eth1', net: 'cafe', number: 254 },
  { host: 'router', device: 'eth2', net: 'internet', number: 254 },
  { host: 'upstream', device: 'eth0', net: 'internet', number: 1 },
  { host: 'builder', device: 'eth0', net: 'internet', number: 2 },
] as const;
/** The uplink of both LANs, and the Pi's Ethernet, as tbf shapes them; the round trip to the upstream is this many ms longer. */
const uplink = '8mbit';
const ethernet = '16mbit';
const roundTrip = 40;
/** Of Ethernet, IPv4 and TCP with timestamps. */
const headerBytes = 66;

export type Net = keyof typeof nets;
export type Host = (typeof plugs)[number]['host'];

/** Two LANs and an internet: a Pi, two laptops, a router with a slow uplink, an upstream, a builder, and an attacker in the café. */
export class World implements AsyncDisposable {
  readonly lab = new Lab();
  /** The substituter: the upstream's nginx, a round trip away. */
  readonly upstream: string = `http://${nets.internet}.1:8080`;
  readonly #fixture: Fixture;
  readonly #timeline: Timeline;
  readonly #stack = new AsyncDisposableStack();
  #router = 0;

  private constructor(fixture: Fixture, timeline: Timeline) {
    this.#fixture = fixture;
    this.#timeline = timeline;
    this.#stack.defer(() => this.lab.close());
  }

  /** Everybody is plugged in; the upstream's nginx serves the fixture. */
  static async start(fixture: Fixture, timeline: Timeline): Promise<World> {
    const world = new World(fixture, timeline);
    const { lab } = world;
    for (const net of Object.keys(nets)) lab.addLan(net);
    for (const host of new Set(plugs.map(({ host }) => host))) lab.addHost(host);
    for (const { host, device, net, number } of plugs) lab.plug(host, device, net, `${nets[net]}.${number}`);
    lab.exec('router', 'sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
    // The router is that of the home and that of the café: nothing leads from one to the other.
    for (const device of ['eth0', 'eth1'])
      for (const net of [nets.home, nets.cafe])
        lab.exec('router', 'ip', `rule add iif ${device} to ${net}.0/24 prohibit`.split(' '));
    for (const { host, net } of plugs) if (host !== 'router') world.#route(host, net);
    for (const host of ['upstream', 'builder'] as const) world.shape(host, uplink);
    world.shape('pi', ethernet);
    const far = join(import.meta.dirname, 'far.ts');
    const way = lab.spawn('upstream', process.execPath, [far, '8080', '127.0.0.1', '80', `${roundTrip}`]);
    await ready(way, 'stdout', /ready/);
    world.#router = lab.spawn('router', 'sleep', ['infinity']).pid ?? 0;
    await world.nginx('upstream');
    timeline.say('world', `uplink ${uplink}, ${roundTrip} ms; the Pi's Ethernet ${ethernet}`);
    return world;
  }

  /** What a host sends goes no faster, and waits 50 ms at most. */
  shape(host: Host, rate: string): void {
    this.lab.exec(
      host,
      'tc',
      `qdisc replace dev eth0 root tbf rate ${rate} burst 16kb latency 50ms`.split(' '),
    );
  }

  /** An nginx that serves the fixture, until the world ends or it is killed. */
  async nginx(host: Host): Promise<LanNginx> {
    return this.#stack.use(await LanNginx.start(this.lab, host, this.#fixture.dir));
  }

  /** The Pi as many have it: nginx with a directory, and avahi that announces it. */
  async nginxPi(): Promise<LanNginx> {
    const nginx = await this.nginx('pi');
    await this.lab.avahi('pi', [{ name: 'Pi', type: '_http._tcp', port: 80, txt: ['nix-cache=1'] }]);
    this.#timeline.say('pi', 'serves a directory with nginx, which avahi announces');
    return nginx;
  }

  /** An agent with the upstream as its substituter, whose log goes to the timeline. */
  async agent(host: Host, config: RelayConfig & { readonly lan?: object } = {}): Promise<RelayProcess> {
    const agent = await startAgent(this.lab, host, this.#fixture, {
      substituters: [this.upstream],
      'log-level': 'info',
      ...config,
    });
    this.#stack.use(agent);
    this.#stack.use(this.#timeline.follow(host, agent));
    return agent;
  }

  /** A Nix store on a host, with one substituter. */
  async store(host: Host, substituter: string): Promise<PrivateStore> {
    const options = { substituters: substituter, 'trusted-public-keys': this.#fixture.publicKey };
    return this.#stack.use(await PrivateStore.create({ inside: this.lab.on(host), options }));
  }

  /** Runs a command in a store, telling the timeline; throws when it fails. */
  async run(host: Host, store: PrivateStore, argv: readonly string[]): Promise<string> {
    this.#timeline.say(host, argv.join(' ').replaceAll(/\/nix\/store\/[a-z0-9]{32}-/g, '…-'));
    const { stdout, stderr, ms } = await store.mustRun(argv, { timeoutMs: 60_000 });
    this.#timeline.say(host, `done in ${(ms / 1_000).toFixed(2)} s`);
    return stdout + stderr;
  }

  /** Carries a host to another network, where it gets an address and the router. */
  carry(host: Host, net: Net): void {
    this.unplug(host);
    this.lab.connect(host, 'eth0', net);
    const { number } = plugs.find((plug) => plug.host === host) ?? { number: 9 };
    this.lab.readdress(host, 'eth0', `${nets[net]}.${number}`);
    this.lab.mend(host, 'eth0');
    this.#route(host, net);
    this.#timeline.say(host, `is carried to: ${net}`);
  }

  /** Pulls a host's cable. */
  unplug(host: Host): void {
    this.lab.cut(host, 'eth0');
  }

  /** Bytes that came over the uplink so far, without the headers of packets. */
  get overUplink(): number {
    return received(this.#router, 'eth2');
  }

  /** The same for the network in which a process lives. */
  receivedBy(pid: number): number {
    return received(pid, 'eth0');
  }

  /** The status of a URL as curl on a host gets it. */
  async get(host: Host, url: string): Promise<{ status: number }> {
    const curl = [
      'curl',
      '--silent',
      '--output',
      '/dev/null',
      '--write-out',
      '%{http_code}',
      '--max-time',
      '30',
      url,
    ];
    return { status: Number((await mustRun(this.lab.on(host).enter(curl))).stdout) };
  }

  /** Resolves once it is so, which the timeline is told; throws after 30 s. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    for (const end = Date.now() + 30_000; !isSo(); ) {
      if (Date.now() > end) throw new Error(`not within 30 s: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.#timeline.say('world', what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #route(host: Host, net: Net): void {
    this.lab.exec(host, 'ip', ['route', 'replace', 'default', 'via', `${nets[net]}.254`]);
  }
}

/** Bytes that an adapter has received in the network in which a process lives, without the headers of packets. */
function received(pid: number, device: string): number {
  const text = readFileSync(`/proc/${pid}/net/dev`, 'utf8');
  const [, bytes, packets] = new RegExp(`^ *${device}: *(\\d+) +(\\d+) `, 'm').exec(text) ?? [];
  return Number(bytes) - headerBytes * Number(packets);
}
