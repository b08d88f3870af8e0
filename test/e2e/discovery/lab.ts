import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why no lab can be had here; undefined when it can. */
export function labForbidden(): string | undefined {
  try {
    execFileSync('ip', ['netns', 'add', probe], { stdio: 'pipe' });
    execFileSync('ip', ['netns', 'delete', probe], { stdio: 'pipe' });
  } catch (error) {
    return `network namespaces can't be made here: ${firstLine(error)}`;
  }
  for (const [tool, from] of Object.entries({
    'avahi-daemon': 'avahi-daemon',
    'avahi-browse': 'avahi-utils',
  })) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'pipe' });
    } catch {
      return `${tool} is missing: install Debian's ${from}`;
    }
  }
  return undefined;
}

const prefix = `nc${process.pid}`;
const probe = `${prefix}-probe`;

function firstLine(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
  return (stderr || String(error)).trim().split('\n')[0] ?? '';
}

/** A service of an avahi service file. */
export interface StaticService {
  readonly name: string;
  readonly type: string;
  readonly port: number;
  readonly txt?: readonly string[];
}

/** Hosts and LANs made of network namespaces, bridges and virtual cables. */
export class Lab {
  readonly #hosts = new Set<string>();
  readonly #processes = new Set<ChildProcess>();
  readonly #directory = mkdtempSync(join(tmpdir(), 'narrowcast-lab-'));

  constructor() {
    this.#addNamespace('switch');
  }

  /** Adds a LAN that nothing is connected to yet. */
  addLan(lan: string): void {
    this.#ip('switch', 'link', 'add', lan, 'type', 'bridge', 'mcast_snooping', '0', 'forward_delay', '0');
    this.#ip('switch', 'link', 'set', lan, 'up');
  }

  /** Adds a host without any cable. */
  addHost(host: string): void {
    this.#addNamespace(host);
  }

  /** Plugs a new adapter of the host into a LAN. */
  plug(host: string, device: string, lan: string, address: string): void {
    const port = portOf(host, device);
    this.#ip('switch', 'link', 'add', port, 'type', 'veth', 'peer', 'name', device, 'netns', namespace(host));
    this.#ip('switch', 'link', 'set', port, 'master', lan, 'up');
    this.#ip(host, 'addr', 'add', `${address}/24`, 'dev', device);
    this.#ip(host, 'link', 'set', device, 'up');
  }

  /** Removes the adapter, as when a USB adapter is pulled out. */
  unplug(host: string, device: string): void {
    this.#ip(host, 'link', 'delete', device);
  }

  /** Cuts the cable at the host's end: its adapter loses the carrier. */
  cut(host: string, device: string): void {
    this.#ip('switch', 'link', 'set', portOf(host, device), 'down');
  }

  /** Mends what `cut` cut. */
  mend(host: string, device: string): void {
    this.#ip('switch', 'link', 'set', portOf(host, device), 'up');
  }

  /** Takes the cable out of the LAN's switch, which the host's adapter does not feel; `connect` puts it in again. */
  disconnect(host: string, device: string): void {
    this.#ip('switch', 'link', 'set', portOf(host, device), 'nomaster');
  }

  connect(host: string, device: string, lan: string): void {
    this.#ip('switch', 'link', 'set', portOf(host, device), 'master', lan);
  }

  /** Gives the adapter another address in place of the one it has. */
  readdress(host: string, device: string, address: string): void {
    this.#ip(host, 'addr', 'flush', 'dev', device, 'scope', 'global');
    this.#ip(host, 'addr', 'add', `${address}/24`, 'dev', device);
  }

  /** The host as a place to run commands at. */
  on(host: string): { enter(argv: readonly string[]): string[] } {
    return { enter: (argv) => ['ip', 'netns', 'exec', namespace(host), ...argv] };
  }

  /** Runs a command on the host and returns what it printed. */
  exec(host: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
    return execFileSync('ip', ['netns', 'exec', namespace(host), command, ...args], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Starts a process on the host, which ends with the lab. */
  spawn(host: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', namespace(host), command, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#processes.add(child);
    child.once('exit', () => this.#processes.delete(child));
    return child;
  }

  /** Starts a D-Bus and an avahi-daemon of the host's own, with services or whole service files. Returns the environment that avahi's tools need. */
  async avahi(
    host: string,
    services: readonly (StaticService | string)[],
    serverOptions: readonly string[] = [],
  ): Promise<{ daemon: ChildProcess; env: NodeJS.ProcessEnv }> {
    const { directory, env } = await this.bus(host);
    mkdirSync(join(directory, 'services'));
    mkdirSync(join(directory, 'run'));
    for (const [i, service] of services.entries()) {
      writeFileSync(join(directory, 'services', `${i}.service`), serviceFile(service));
    }
    const server = [`host-name=avahi-${host}`, 'use-ipv6=no', ...serverOptions].join('\n');
    writeFileSync(join(directory, 'avahi.conf'), `[server]\n${server}\n`);
    // The daemon's directories are built into it, so each gets its own by a mount that only it sees.
    const mounted = [
      'mkdir -p /run/avahi-daemon',
      `mount --bind ${join(directory, 'run')} /run/avahi-daemon`,
      `mount --bind ${join(directory, 'services')} /etc/avahi/services`,
      `exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f ${join(directory, 'avahi.conf')}`,
    ];
    const daemon = this.spawn(host, 'sh', ['-c', mounted.join(' && ')], env);
    await ready(
      daemon,
      'stderr',
      services.length > 0 ? /Service .* successfully established/ : /Server startup complete/,
    );
    return { daemon, env };
  }

  /** Starts a D-Bus of the host's own. Returns the environment that leads to it, and the directory that it is in. */
  async bus(host: string): Promise<{ directory: string; env: NodeJS.ProcessEnv }> {
    const directory = mkdtempSync(join(this.#directory, `${host}-`));
    const address = `unix:path=${join(directory, 'bus')}`;
    const configuration = join(directory, 'bus.conf');
    writeFileSync(configuration, busConfiguration(address));
    const options = [`--config-file=${configuration}`, '--nofork', '--print-address'];
    await ready(this.spawn(host, 'dbus-daemon', options), 'stdout', /unix:/);
    return { directory, env: { DBUS_SYSTEM_BUS_ADDRESS: address } };
  }

  /** Ends every process and removes every namespace. */
  async close(): Promise<void> {
    await Promise.all([...this.#processes].map(kill));
    for (const host of this.#hosts) execFileSync('ip', ['netns', 'delete', namespace(host)]);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #addNamespace(host: string): void {
    execFileSync('ip', ['netns', 'add', namespace(host)]);
    this.#hosts.add(host);
    this.#ip(host, 'link', 'set', 'lo', 'up');
  }

  #ip(host: string, ...args: string[]): void {
    execFileSync('ip', ['-n', namespace(host), ...args], { stdio: 'pipe' });
  }
}

/** Kills a process outright and waits for its end. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}

function namespace(host: string): string {
  return `${prefix}-${host}`;
}

function portOf(host: string, device: string): string {
  return `${host}-${device}`;
}

/** Waits until a process prints what says that it is ready. Rejects with what it printed when it ends before that. */
export function ready(child: ChildProcess, stream: 'stdout' | 'stderr', sign: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    child[stream]?.on('data', (chunk) => {
      text += chunk;
      if (sign.test(text)) resolve();
    });
    child.once('exit', () => reject(new Error(`ended before it was ready: ${text}`)));
  });
}

function serviceFile(service: StaticService | string): string {
  if (typeof service === 'string') return service;
  const { name, type, port, txt = [] } = service;
  const records = txt.map((record) => `<txt-record>${record}</txt-record>`).join('');
  return `<?xml version="1.0" standalone="no"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>${name}</name><service><type>${type}</type><port>${port}</port>${records}</service></service-group>
`;
}

function busConfiguration(address: string): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>${address}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`;
}
