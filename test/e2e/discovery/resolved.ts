import { existsSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Lab, ready } from './lab.ts';

/** Where Debian's package is unpacked: to install it would change how this machine resolves names. */
const unpacked = join(import.meta.dirname, '../../../.cache/systemd-resolved');
const roots = [unpacked, '/'];

/** Why no systemd-resolved can be started here; undefined when it can. */
export function resolvedMissing(): string | undefined {
  return rootOfResolved() === undefined
    ? `no systemd-resolved: unpack Debian's package (apt-get download systemd-resolved, dpkg -x) into ${unpacked}`
    : undefined;
}

/** systemd-resolved on a host of a lab. */
export interface Resolved {
  /** The address of a name by multicast DNS, as resolved finds it; undefined for none. */
  query(name: string): string | undefined;
}

/**
 * Starts a systemd-resolved of the host's own, with multicast DNS switched on and `resolved-HOST` as its host name, and a D-Bus for it.
 * What it reads and writes are files of its own, by mounts that only it sees.
 */
export async function startResolved(lab: Lab, host: string): Promise<Resolved> {
  const root = rootOfResolved() ?? '/';
  const { directory, env } = await lab.bus(host);
  // Under the ids of nobody, which the D-Bus knows.
  const user = 'systemd-resolve:x:65534:65534::/:/usr/sbin/nologin\n';
  writeFileSync(join(directory, 'passwd'), (await readFile('/etc/passwd', 'utf8')) + user);
  writeFileSync(
    join(directory, 'group'),
    `${await readFile('/etc/group', 'utf8')}systemd-resolve:x:65534:\n`,
  );
  writeFileSync(
    join(directory, 'resolved.conf'),
    '[Resolve]\nMulticastDNS=yes\nLLMNR=no\nDNSStubListener=no\nDNS=\n',
  );
  const mounted = [
    // It gives up being root before it goes to the bus.
    `chmod 755 ${dirname(directory)} ${directory}`,
    `hostname resolved-${host}`,
    `mount --bind ${join(directory, 'passwd')} /etc/passwd`,
    `mount --bind ${join(directory, 'group')} /etc/group`,
    'mount -t tmpfs tmpfs /etc/systemd',
    `cp ${join(directory, 'resolved.conf')} /etc/systemd/`,
    'mkdir -p /run/systemd',
    'mount -t tmpfs tmpfs /run/systemd',
    'mkdir -p /run/systemd/resolve /run/systemd/netif/links',
    'chown 65534:65534 /run/systemd/resolve',
    `exec ${join(root, 'lib/systemd/systemd-resolved')}`,
  ];
  const daemon = lab.spawn(host, 'unshare', ['--uts', 'sh', '-c', mounted.join(' && ')], {
    ...env,
    SYSTEMD_LOG_LEVEL: 'debug',
    SYSTEMD_LOG_TARGET: 'console',
  });
  await ready(daemon, 'stderr', /Successfully acquired requested service name/);
  const ctl = (...args: string[]) => lab.exec(host, join(root, 'usr/bin/resolvectl'), args, env);
  ctl('mdns', 'eth0', 'yes');
  return {
    query: (name) => {
      try {
        return /: (\d+\.\d+\.\d+\.\d+)/.exec(ctl('query', '-4', '--protocol=mdns', '--cache=no', name))?.[1];
      } catch {
        return undefined;
      }
    },
  };
}

function rootOfResolved(): string | undefined {
  return roots.find((root) => existsSync(join(root, 'lib/systemd/systemd-resolved')));
}
